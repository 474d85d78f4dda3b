-- A value of a cell as identities compare it: a number, be it written as text, without trailing zeros.
create or replace function forms.plain_value(given jsonb) returns jsonb
language sql immutable parallel safe as $$
    select case
        when jsonb_typeof(given) = 'number'
            or given #>> '{}' ~ '^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$'
        then to_jsonb(trim_scale((given #>> '{}')::numeric))
        else given
    end
$$;
