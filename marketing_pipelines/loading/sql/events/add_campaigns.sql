-- PostgreSQL. Stubs of campaigns that only the staged events know; no clock touches them.
insert into campaigns.campaigns (organization_id, external_id, status)
select distinct organization.id, staged.event_source, 'imported'
from events_stage as staged
join crm.organizations as organization on organization.external_id = staged.organization_id
where staged.event_source is not null
  and not exists (
      select
      from campaigns.campaigns as known
      where known.organization_id = organization.id and known.external_id = staged.event_source
  )
order by 1, 2
on conflict do nothing
