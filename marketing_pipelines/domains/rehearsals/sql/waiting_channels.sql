-- The channels with queued messages.
select channel
from unnest(array['email', 'sms', 'push', 'webhook']) as channel
where exists (
    select from delivery.messages as message
    where message.state = 'queued' and message.channel = channel
)
