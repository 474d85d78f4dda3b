-- PostgreSQL. The ids of the batch's organizations.
update event_organizations as loaded
set id = known.id
from crm.organizations as known
where known.external_id = loaded.external_id
