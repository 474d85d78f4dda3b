-- Writes a delivery for each event of the bus and endpoint of its organization that wants its type,
-- once; returns the endpoints with new deliveries.
insert into webhooks.deliveries (endpoint_id, event_id, type, contact_id, data, published_at, due_at)
select endpoint.id, 'event:' || event.id, event.type, event.contact_id, own.data,
       event.published_at, :now
from ops.bus_events as event
join webhooks.endpoints as endpoint
    on endpoint.organization_id = event.organization_id
    and endpoint.state <> 'disabled'
    and greatest(endpoint.created_at, endpoint.enabled_at) <= event.published_at
    and webhooks.fits(endpoint.event_types, event.type)
join webhooks.event_data as own on own.event_id = event.id
where event.id = any (:ids)
    and not exists (
        select from webhooks.deliveries as known
        where known.endpoint_id = endpoint.id and known.event_id = 'event:' || event.id)
order by event.id, endpoint.id
on conflict (endpoint_id, event_id) do nothing
returning endpoint_id
