-- PostgreSQL. The ids of the batch's contacts, with stubs for contacts that only the batch knows;
-- returns how many, and the first five of their ids. `offset 0` keeps the planner at one index
-- look-up a contact, whatever it believes of the table.
with found as materialized (
    select loaded.number, organization.id as organization_id, loaded.external_id, known.id
    from event_contacts as loaded
    join event_organizations as organization on organization.number = loaded.organization
    left join lateral (
        select contact.id
        from crm.contacts as contact
        where contact.organization_id = organization.id
          and contact.external_id = loaded.external_id
        offset 0
    ) as known on true
), added as (
    insert into crm.contacts (organization_id, external_id, source)
    select organization_id, external_id, 'stub'
    from found
    where id is null
    order by organization_id, external_id
    on conflict do nothing
    returning id, organization_id, external_id
), noted as (
    insert into event_contact_ids (number, id)
    select found.number, coalesce(found.id, added.id)
    from found
    left join added using (organization_id, external_id)
)
select (select count(*) from added),
       (select array_agg(external_id) from (select external_id from added limit 5) as first)
