-- The data of an event as it fits into a body of 256 KB, of which 1 KB is for the type and the
-- timestamp: too much of it is cut to its ids, and says so.
create or replace function webhooks.cut_data(data jsonb) returns jsonb
language sql immutable parallel safe as $$
    select case
        when octet_length(data::text) <= 255 * 1024 then data
        else '{"cut": true}'
            || coalesce((
                select jsonb_object_agg(key, value)
                from jsonb_each(data)
                where key = any ('{action,organization,contact,campaign,deal,endpoint,form,job,message,'
                    'program,segment,step,submission,task}')
                    and octet_length(value::text) <= 4 * 1024
            ), '{}')
            || case when jsonb_typeof(data -> 'contacts') = 'array' then jsonb_build_object(
                'contacts_in_all', jsonb_array_length(data -> 'contacts'),
                'contacts', coalesce((
                    select jsonb_agg(id order by place)
                    from (
                        select id, place,
                               sum(octet_length(id::text) + 2) over (order by place) as bytes
                        from jsonb_array_elements(data -> 'contacts') with ordinality as
                            named (id, place)
                    ) as measured
                    where bytes <= 128 * 1024
                ), '[]'))
            else '{}' end
    end
$$;
