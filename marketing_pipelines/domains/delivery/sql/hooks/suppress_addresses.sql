-- Suppresses the addresses of hard bounces and complaints without a message, in the organizations
-- that have written to them.
insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
select contact.organization_id, contact.id, 'email', suppression.reason, min(event.received_at)
from delivery.message_events as event
cross join lateral delivery.suppression_by(event.type, event.reading) as suppression (reason)
join crm.contacts as contact on lower(trim(contact.email)) = lower(trim(event.recipient))
where event.id = any(:ids) and event.message_id is null
    and event.reading ->> 'channel' = 'email'
    and suppression.reason in ('hard_bounce', 'complaint')
    and exists (
        select from delivery.messages as message
        where message.contact_id = contact.id and message.channel = 'email'
            and message.sent_at is not null
    )
group by contact.organization_id, contact.id, suppression.reason
order by contact.id, suppression.reason
on conflict do nothing
