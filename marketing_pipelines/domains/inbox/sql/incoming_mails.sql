-- New mails of contacts that publish events: the contact, when it was sent, and if it answers or
-- forwards a message of ours or a mail that the owner sent.
with told as (
    select mail.id, mail.from_address, told.is_forward, told.names, named.at
    from jsonb_to_recordset(:mails) as told (id bigint, names text[], is_forward boolean)
    join inbox.email_messages as mail on mail.id = told.id
    cross join lateral (
        -- The date is the sender's word: believed for a week before the arrival.
        select least(
            greatest(coalesce(mail.sent_at, mail.received_at), mail.received_at - interval '7 days'),
               mail.received_at
        ) as at
    ) as named
    where mail.direction = 'in' and not mail.is_auto_reply and not mail.is_bounce
        and (mail.received_at >= :connected_at or named.at > :oldest)
),
named as (
    select told.id, name, delivery.message_of(name) as number
    from told
    cross join lateral unnest(told.names) as name
),
ours as (
    select named.id, message.contact_id
    from named
    join delivery.messages as message
        on message.organization_id = :organization_id and message.id = named.number
    union
    select named.id, message.contact_id
    from named
    join delivery.messages as message
        on message.organization_id = :organization_id
        and message.provider_message_id in (named.name, split_part(named.name, '@', 1))
    union
    select named.id, null
    from named
    join inbox.email_messages as sent
        on sent.organization_id = :organization_id and sent.message_id = named.name
        and sent.direction = 'out' and sent.id <> named.id
)
select told.id, told.at, sender.contact_id,
       case
           when not exists (select from ours where ours.id = told.id) then null
           when told.is_forward then 'forwarded'
           else 'replied'
       end as kind,
       false as is_late
from told
cross join lateral (
    -- Of several contacts with the address the one that our message went to, else the oldest.
    select contact.id as contact_id
    from crm.contacts as contact
    where contact.organization_id = :organization_id
        and delivery.address_of('email', contact.email) = told.from_address
    order by not exists (
        select from ours where ours.id = told.id and ours.contact_id = contact.id
    ), contact.id
    limit 1
) as sender
order by told.at, told.id
