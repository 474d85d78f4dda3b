-- The organizations with arrivals before the tick; ones that fail come last.
select organization.id, organization.external_id
from crm.organizations as organization
left join ops.item_failures as failure
    on failure.job = :job and failure.item = 'organization ' || organization.external_id
where exists (
    select from leads.signal_arrivals as arrival
    where arrival.organization_id = organization.id and arrival.first_at < :tick
)
order by failure.last_failed_at nulls first, organization.id
