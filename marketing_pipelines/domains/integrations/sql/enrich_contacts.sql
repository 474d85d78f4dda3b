-- Notes that the provider was asked about contacts, and fills those of their fields that are empty
-- or that it filled before. A contact whose address has changed meanwhile is asked about again.
-- Returns the number of contacts whose fields changed. Contacts are locked in their order, so that two
-- statements do not wait for each other.
with given as (
    select match.contact_id, match.address, match.fields, match.domain
    from jsonb_to_recordset(:matches)
        as match (contact_id bigint, address text, fields jsonb, domain text)
),
-- The fields that the provider may write: a row each.
allowed as (
    select contact.id, field.name, field.value
    from given
    join crm.contacts as contact on contact.id = given.contact_id
    cross join lateral jsonb_each(given.fields) as field (name, value)
    where coalesce(btrim(contact.attributes ->> field.name), '') = ''
        or field.name = any(contact.enriched_fields)
),
filled as (
    select id, jsonb_object_agg(name, value) as fields, array_agg(name) as names
    from allowed
    group by id
),
-- Of several companies with the domain the first.
employers as (
    select contact.id, min(company.id) as company_id
    from given
    join crm.contacts as contact on contact.id = given.contact_id
    join crm.companies as company
        on company.organization_id = :organization_id and lower(company.domain) = given.domain
    where contact.company_id is null or 'company_id' = any(contact.enriched_fields)
    group by contact.id
),
planned as materialized (
    select contact.id, given.address,
           contact.attributes || coalesce(filled.fields, '{}') as attributes,
           coalesce(employers.company_id, contact.company_id) as company_id,
           array(
               select distinct name
               from unnest(
                   contact.enriched_fields || coalesce(filled.names, '{}')
                   || case when employers.company_id is null then '{}' else '{company_id}' end
                      ::text[]
               ) as own (name)
               order by name
           ) as enriched_fields,
           (contact.attributes, contact.company_id) is distinct from (
               contact.attributes || coalesce(filled.fields, '{}'),
               coalesce(employers.company_id, contact.company_id)
           ) as is_changed
    from given
    join crm.contacts as contact on contact.id = given.contact_id
    left join filled on filled.id = contact.id
    left join employers on employers.id = contact.id
    order by contact.id
    for no key update of contact
),
written as (
    update crm.contacts as contact
    set attributes = planned.attributes,
        company_id = planned.company_id,
        enriched_fields = planned.enriched_fields,
        enriched_at = :tick
    from planned
    where contact.id = planned.id
        and contact.organization_id = :organization_id
        and delivery.address_of('email', contact.email) = planned.address
    returning planned.is_changed
)
select count(*) filter (where is_changed) from written
