-- The organizations that have an active journey.
select organization.id, organization.external_id
from crm.organizations as organization
where exists (
    select from journey.journeys
    where journeys.organization_id = organization.id and journeys.status = 'active'
)
order by organization.id
