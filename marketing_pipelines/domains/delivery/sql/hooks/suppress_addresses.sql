-- Suppresses the addresses of hard bounces and complaints without a message, in the organizations
-- that have written to them.
insert into delivery.suppressions (organization_id, address, channel, reason, since, source)
select organization.id, recipient.address, 'email', suppression.reason, min(event.received_at),
       'event'
from delivery.message_events as event
cross join lateral delivery.suppression_by(event.type, event.reading) as suppression (reason)
cross join lateral delivery.address_of('email', event.recipient) as recipient (address)
join crm.organizations as organization
    on exists (
        select from delivery.messages as message
        where message.organization_id = organization.id and message.channel = 'email'
            and message.address = recipient.address and message.sent_at is not null
    )
where event.id = any(:ids) and event.message_id is null
    and event.reading ->> 'channel' = 'email'
    and suppression.reason in ('hard_bounce', 'complaint')
group by 1, 2, 4
order by 1, 2, 4
on conflict do nothing
