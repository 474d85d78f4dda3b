create or replace function segments.is_present(value jsonb) returns boolean
language sql immutable parallel safe as $$
    select value is not null and value not in ('null'::jsonb, '""'::jsonb, '[]'::jsonb)
$$;
comment on function segments.is_present(jsonb) is 'Whether there is a value: neither null nor empty';
