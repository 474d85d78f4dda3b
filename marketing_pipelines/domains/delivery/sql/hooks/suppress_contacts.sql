-- Suppresses the recipients of messages that bounced for good, were complained about or left by,
-- also where a provider's list says so. Most of these rows are there already, by the activity.
insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
select message.organization_id, message.contact_id, message.channel, suppression.reason,
       min(delivery.instant_of_event(event.occurred_at, message.queued_at, event.received_at))
from delivery.message_events as event
join delivery.messages as message on message.id = event.message_id
cross join lateral delivery.suppression_by(event.type, event.reading) as suppression (reason)
where event.id = any(:ids) and message.contact_id is not null and suppression.reason is not null
group by message.organization_id, message.contact_id, message.channel, suppression.reason
order by message.contact_id, message.channel, suppression.reason
on conflict do nothing
