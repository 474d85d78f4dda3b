-- The version of a meeting: a hash of its begin, so a new title makes none and a new time does.
create or replace function sales.version_of(starts_at timestamptz) returns text
language sql immutable parallel safe as $$
    select left(encode(sha256(convert_to(sales.period_of(starts_at), 'UTF8')), 'hex'), 16)
$$;
