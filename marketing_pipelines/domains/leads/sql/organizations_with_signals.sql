-- The organizations with arrivals before the tick, those with the fewest first; ones that fail come
-- last. More than `size` arrivals of one are not counted.
select organization.id, organization.external_id
from crm.organizations as organization
cross join lateral (
    select count(*) as arrivals
    from (
        select from leads.signal_arrivals as arrival
        where arrival.organization_id = organization.id and arrival.first_at < :tick
        limit :size
    ) as counted
) as waiting
left join ops.item_failures as failure
    on failure.job = :job and failure.item = 'organization ' || organization.external_id
where waiting.arrivals > 0
order by failure.last_failed_at nulls first, waiting.arrivals, organization.id
