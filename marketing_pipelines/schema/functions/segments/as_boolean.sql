-- Spreadsheets write TRUE and FALSE, so the case of the letters does not count.
create or replace function segments.as_boolean(value jsonb) returns boolean
language sql immutable parallel safe as $$
    select case when jsonb_typeof(value) in ('boolean', 'string') then
        case lower(value #>> '{}') when 'true' then true when 'false' then false end
    end
$$;
comment on function segments.as_boolean(jsonb) is 'true or false, also from text in any case; else null';
