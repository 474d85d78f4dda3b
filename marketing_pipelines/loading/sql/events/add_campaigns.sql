-- PostgreSQL. Stubs of campaigns that only the batch knows; no job changes their status. Returns
-- how many, and the first five ids.
with added as (
    insert into campaigns.campaigns (organization_id, external_id, status)
    select organization.id, loaded.external_id, 'imported'
    from event_campaigns as loaded
    join event_organizations as organization on organization.number = loaded.organization
    where not exists (
        select
        from campaigns.campaigns as known
        where known.organization_id = organization.id
          and known.external_id = loaded.external_id
    )
    order by organization.id, loaded.external_id
    on conflict do nothing
    returning external_id
)
select count(*), (array_agg(external_id))[1:5] from added
