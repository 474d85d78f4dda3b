-- PostgreSQL. Stubs of contacts that only the staged events know.
insert into crm.contacts (organization_id, external_id)
select distinct organization.id, staged.contact_id
from events_stage as staged
join crm.organizations as organization on organization.external_id = staged.organization_id
where not exists (
    select
    from crm.contacts as known
    where known.organization_id = organization.id and known.external_id = staged.contact_id
)
order by organization.id, staged.contact_id
on conflict do nothing
