-- Publishes `contact.created`: one event for a contact, one for at most 10,000 contacts of a statement
-- that have the same organization and source.
create or replace function crm.announce_contacts(
    ids bigint[], organizations bigint[], sources text[]
) returns void
language sql as $$
    insert into ops.bus_events (organization_id, contact_id, type, version, payload)
    select organization_id, case when count(*) = 1 then min(id) end, 'contact.created', 1,
           jsonb_build_object(
               'source', source,
               'contacts', case when count(*) > 1 then jsonb_agg(id order by id) else '[]' end
           )
    from (
        select id, organization_id, source,
               (row_number() over (partition by organization_id, source order by id) - 1) / 10000 as part
        from unnest(ids, organizations, sources) as created (id, organization_id, source)
    ) as numbered
    group by organization_id, source, part
    order by min(id)
$$;
