-- Suppresses the recipients of messages that bounced for good, were complained about or left by,
-- also where a provider's list says so: the address of a bounce, else the contact. Most of these
-- rows are there already, by the activity.
insert into delivery.suppressions (
    organization_id, contact_id, address, channel, reason, since, source
)
select message.organization_id,
       case when held.address is null then message.contact_id end, held.address, message.channel,
       suppression.reason,
       min(delivery.instant_of_event(event.occurred_at, message.queued_at, event.received_at)),
       'event'
from delivery.message_events as event
join delivery.messages as message on message.id = event.message_id
cross join lateral delivery.suppression_by(event.type, event.reading) as suppression (reason)
cross join lateral (
    select case when suppression.reason = 'hard_bounce' then message.address end as address
) as held
where event.id = any(:ids) and suppression.reason is not null
    and (message.contact_id is not null or held.address is not null)
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
on conflict do nothing
