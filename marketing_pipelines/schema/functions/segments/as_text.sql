-- Null, empty text and values that are no scalar are null to a rule.
create or replace function segments.as_text(value jsonb) returns text
language sql immutable parallel safe as $$
    select case jsonb_typeof(value)
        when 'string' then nullif(value #>> '{}', '')
        when 'number' then value #>> '{}'
        when 'boolean' then value #>> '{}'
    end
$$;
comment on function segments.as_text(jsonb) is 'A text, number or true/false as text; else null';
