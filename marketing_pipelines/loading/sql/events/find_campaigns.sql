-- PostgreSQL. The ids of the batch's campaigns.
update event_campaigns as loaded
set id = known.id
from event_organizations as organization, campaigns.campaigns as known
where organization.number = loaded.organization
  and known.organization_id = organization.id
  and known.external_id = loaded.external_id
