-- The instant as the name of a period, the same in every session.
create or replace function sales.period_of(at timestamptz) returns text
language sql immutable parallel safe as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
