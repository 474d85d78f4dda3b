-- Collects the keys of properties, and the dotted paths into their objects, that events have.
-- Only events with a key that is not known, or with an object, whose keys may be new, are taken
-- apart. No key is unique here: writers that meet at a new one both note it, and neither waits.
create or replace function segments.collect_event_fields() returns trigger
language plpgsql set enable_hashagg = off as $$
begin
    -- Nearly always there is nothing new, and finding that out costs a fraction of the rest.
    if not exists (
        with known as materialized (
            select types.organization_id, types.event_type, found.fields
            from (select distinct organization_id, event_type from touched) as types
            cross join lateral (
                select coalesce(array_agg(distinct field), '{}') as fields
                from segments.event_fields as own
                where own.organization_id = types.organization_id
                    and own.event_type = types.event_type
            ) as found
        )
        select from known where cardinality(fields) = 0
        union all
        select
        from touched
        join known using (organization_id, event_type)
        where jsonb_typeof(touched.properties) = 'object'
            and cardinality(known.fields) <= 500
            and (touched.properties - known.fields <> '{}'
                or touched.properties @? 'strict $.* ? (@.type() == "object")')
    ) then
        return null;
    end if;
    insert into segments.event_fields (organization_id, event_type, field)
    with recursive types as materialized (
        select distinct organization_id, event_type from touched
    ),
    known as materialized (
        select types.organization_id, types.event_type, found.fields
        from types
        cross join lateral (
            select coalesce(array_agg(distinct field), '{}') as fields
            from segments.event_fields as own
            where own.organization_id = types.organization_id
                and own.event_type = types.event_type
        ) as found
    ),
    keys as (
        select distinct touched.organization_id, touched.event_type, key as field,
               case when jsonb_typeof(value) = 'object' then value end as value
        from touched
        join known using (organization_id, event_type)
        cross join lateral jsonb_each(touched.properties)
        where jsonb_typeof(touched.properties) = 'object'
            and cardinality(known.fields) <= 500
            and (touched.properties - known.fields <> '{}'
                or touched.properties @? 'strict $.* ? (@.type() == "object")')
        union
        select keys.organization_id, keys.event_type, keys.field || '.' || below.key,
               case when jsonb_typeof(below.value) = 'object' then below.value end
        from keys
        cross join lateral jsonb_each(keys.value) as below
        where keys.value is not null and length(keys.field) < 1000
    ),
    news as (
        select organization_id, event_type, field,
               row_number() over (partition by organization_id, event_type order by field)
                   + cardinality(known.fields) as place
        from (
            select distinct organization_id, event_type, field from keys
            union
            select organization_id, event_type, '' from types
        ) as found
        join known using (organization_id, event_type)
        where field <> all (known.fields)
            and octet_length(field) <= 2000 -- An index does not take longer ones.
    )
    select organization_id, event_type, field
    from news
    where place <= 501
    order by 1, 2, 3;
    return null;
end $$;
