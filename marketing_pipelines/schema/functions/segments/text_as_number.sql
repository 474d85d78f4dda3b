create or replace function segments.text_as_number(value text) returns numeric
language sql immutable parallel safe as $$
    select case when value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$' and length(value) <= 200
        then value::numeric
    end
$$;
comment on function segments.text_as_number(text) is 'A decimal number from text; else null';
