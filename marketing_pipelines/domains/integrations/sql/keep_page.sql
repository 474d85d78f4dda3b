-- Notes the destinations of a page that has not changed as listed.
insert into listed_destinations (external_id)
select external_id
from crm.destinations
where organization_id = :organization_id and listed_by = :connection_id
    and page = cast(:page as text) and gone_at is null
on conflict do nothing
