-- PostgreSQL. Stubs of organizations that only the batch knows. Returns how many, and the first
-- five ids.
with added as (
    insert into crm.organizations (external_id)
    select external_id
    from event_organizations as loaded
    where not exists (
        select from crm.organizations as known where known.external_id = loaded.external_id
    )
    order by external_id
    on conflict do nothing
    returning external_id
)
select count(*), (array_agg(external_id))[1:5] from added
