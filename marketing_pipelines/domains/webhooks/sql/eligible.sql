-- Due deliveries of an endpoint, the oldest first: at most one per contact, and none while an
-- earlier one of its contact waits, unless that one has failed for an hour.
select delivery.id, delivery.event_id, delivery.type, delivery.data, delivery.published_at,
       delivery.attempts
from webhooks.deliveries as delivery
where delivery.endpoint_id = :endpoint_id
    and delivery.state = 'waiting'
    and delivery.due_at <= :now
    and not exists (
        select from webhooks.deliveries as earlier
        where earlier.endpoint_id = delivery.endpoint_id
            and earlier.contact_id = delivery.contact_id
            and earlier.id < delivery.id
            and earlier.state = 'waiting'
            and (earlier.first_failed_at is null or earlier.first_failed_at > :passed_before))
order by delivery.due_at, delivery.id
limit :limit
