-- Writes the deliveries of an endpoint that are missing for events since an instant.
insert into webhooks.deliveries (endpoint_id, event_id, type, contact_id, data, published_at, due_at)
select endpoint.id, 'event:' || event.id, event.type, event.contact_id, own.data,
       event.published_at, :now
from webhooks.endpoints as endpoint
join ops.bus_events as event
    on event.organization_id = endpoint.organization_id
    and event.published_at >= :since
    and webhooks.fits(endpoint.event_types, event.type)
join webhooks.event_data as own on own.event_id = event.id
where endpoint.id = :endpoint_id
    and not exists (
        select from webhooks.deliveries as known
        where known.endpoint_id = endpoint.id and known.event_id = 'event:' || event.id)
order by event.id
on conflict (endpoint_id, event_id) do nothing
