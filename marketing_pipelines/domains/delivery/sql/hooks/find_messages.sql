-- Finds the message of each event: by our number, the provider's, that in `Message-ID`, or the
-- application's key. Recipient and organization must agree where the event names them.
with told as materialized (
    select id,
           lower(trim(recipient)) as recipient,
           regexp_replace(recipient, '[^0-9]', '', 'g') as digits,
           reading ->> 'channel' as channel,
           (reading ->> 'message_id')::bigint as number,
           (reading ->> 'header_message_id')::bigint as header_number,
           reading ->> 'provider_message_id' as provider_number,
           reading ->> 'message_key' as key,
           reading ->> 'organization' as organization
    from delivery.message_events
    where id = any(:ids) and message_id is null and type <> 'unread'
),
candidates as (
    select told.id as event_id, 1 as place, message.id
    from told
    join delivery.messages as message on message.id = told.number
    union all
    select told.id, 2, message.id
    from told
    join delivery.messages as message on message.provider_message_id = told.provider_number
    union all
    select told.id, 3, message.id
    from told
    join delivery.messages as message on message.id = told.header_number
    union all
    select told.id, 4, message.id
    from told
    join crm.organizations as organization on organization.external_id = told.organization
    join delivery.messages as message
        on message.organization_id = organization.id and message.idempotency_key = told.key
),
found as (
    select distinct on (told.id) told.id as event_id, message.id
    from candidates
    join told on told.id = candidates.event_id
    join delivery.messages as message on message.id = candidates.id
    join crm.organizations as organization on organization.id = message.organization_id
    left join crm.contacts as contact on contact.id = message.contact_id
    -- The address that it went to; a message of a former release has none.
    cross join lateral (
        select coalesce(message.address, delivery.address_of(message.channel, delivery.address_given(
            message.channel, contact.email, contact.phone, contact.attributes
        ))) as address
    ) as recipient
    where message.channel = told.channel
        and (told.organization is null or told.organization = organization.external_id)
        and case
            when told.recipient is null then true
            when told.channel = 'sms'
                then told.digits = regexp_replace(recipient.address, '[^0-9]', '', 'g')
            else told.recipient = recipient.address
        end
    order by told.id, candidates.place, message.id
)
update delivery.message_events as event
set message_id = found.id
from found
where event.id = found.event_id
