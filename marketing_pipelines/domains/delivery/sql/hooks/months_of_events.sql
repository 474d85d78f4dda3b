-- First days of the months into which activity of these events falls, UTC.
select distinct cast(date_trunc('month', at.occurred_at at time zone 'UTC') as date)
from delivery.message_events as event
join delivery.messages as message on message.id = event.message_id
cross join lateral (
    values (delivery.instant_of_event(event.occurred_at, message.queued_at, event.received_at)),
           (message.sent_at)
) as at (occurred_at)
where event.id = any(:ids) and at.occurred_at is not null
