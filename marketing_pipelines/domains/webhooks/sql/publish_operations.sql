-- Writes the deliveries that are missing for events of the installation since an instant: to the
-- operator's endpoints that were enabled by then, or to one endpoint, whenever it was enabled; returns
-- the endpoint of each.
insert into webhooks.deliveries (endpoint_id, event_id, type, data, published_at, due_at)
select endpoint.id, event.event_id, event.type, event.data, event.at, :now
from webhooks.operations(:since) as event
join webhooks.endpoints as endpoint
    on endpoint.organization_id is null
    and endpoint.state <> 'disabled'
    and webhooks.fits(endpoint.event_types, event.type)
where case when cast(:endpoint_id as bigint) is null
            then greatest(endpoint.created_at, endpoint.enabled_at) <= event.at
        else endpoint.id = cast(:endpoint_id as bigint) end
    and not exists (
        select from webhooks.deliveries as known
        where known.endpoint_id = endpoint.id and known.event_id = event.event_id)
order by event.at, event.event_id, endpoint.id
on conflict (endpoint_id, event_id) do nothing
returning endpoint_id
