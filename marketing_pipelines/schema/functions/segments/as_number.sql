create or replace function segments.as_number(value jsonb) returns numeric
language sql immutable parallel safe as $$
    select case jsonb_typeof(value)
        when 'number' then value::numeric
        when 'string' then case
            when value #>> '{}' ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$' and length(value #>> '{}') <= 200
            then (value #>> '{}')::numeric
        end
    end
$$;
comment on function segments.as_number(jsonb) is 'A number, or a decimal number from text; else null';
