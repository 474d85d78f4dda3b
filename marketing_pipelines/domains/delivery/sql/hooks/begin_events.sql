-- Stores that events take effect, if their message has settled; returns their numbers.
update delivery.message_events as event
set applied_at = :now
from delivery.messages as message
where event.id = any(:ids) and event.applied_at is null
    and message.id = event.message_id
    and message.state not in ('queued', 'claimed')
returning event.id
