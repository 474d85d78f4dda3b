-- PostgreSQL. Stubs of organizations that only the batch knows.
insert into crm.organizations (external_id)
select external_id
from loaded_organizations as loaded
where not exists (
    select from crm.organizations as known where known.external_id = loaded.external_id
)
order by external_id
on conflict do nothing
