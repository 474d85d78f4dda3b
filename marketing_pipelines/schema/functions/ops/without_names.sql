-- The object or list without the names in its texts. Numbers stay, whatever name they look like, and so
-- do keys, but for what `in_keys` matches: a key is the word of a program, or an address.
create or replace function ops.without_names(given jsonb, names text, in_keys text) returns jsonb
language plpgsql immutable parallel safe
as $$
begin
    case jsonb_typeof(given)
        when 'string' then
            return to_jsonb(regexp_replace(given #>> '{}', names, 'erased', 'gi'));
        when 'array' then
            return coalesce(
                (
                    select jsonb_agg(ops.without_names(one, names, in_keys) order by place)
                    from jsonb_array_elements(given) with ordinality as listed (one, place)
                ),
                '[]'
            );
        when 'object' then
            return coalesce(
                (
                    select jsonb_object_agg(
                        coalesce(regexp_replace(key, in_keys, 'erased', 'gi'), key),
                        ops.without_names(value, names, in_keys)
                    )
                    from jsonb_each(given)
                ),
                '{}'
            );
        else
            return given;
    end case;
end
$$;
comment on function ops.without_names(jsonb, text, text) is
    'The value with `erased` for names in its texts, which an erasure writes into free texts';
