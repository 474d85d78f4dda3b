-- PostgreSQL. Stubs of organizations that only the staged events know.
insert into crm.organizations (external_id)
select distinct organization_id
from events_stage as staged
where not exists (
    select from crm.organizations as known where known.external_id = staged.organization_id
)
order by organization_id
on conflict do nothing
