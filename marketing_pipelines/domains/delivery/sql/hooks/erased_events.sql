-- The places of events about erased persons: those of messages to them, and those that name no known
-- message but an address that an organization erased. A message of another organization to the same
-- address is another relationship.
with told as materialized (
    select place, recipient, reading,
           (reading ->> 'message_id')::bigint as number,
           (reading ->> 'header_message_id')::bigint as header_number,
           reading ->> 'provider_message_id' as provider_number
    from jsonb_to_recordset(cast(:events as jsonb)) as told (
        place integer, recipient text, reading jsonb
    )
),
named as (
    select told.place, message.contact_id
    from told
    join delivery.messages as message on message.id in (told.number, told.header_number)
    union all
    select told.place, message.contact_id
    from told
    join delivery.messages as message on message.provider_message_id = told.provider_number
    union all
    select told.place, message.contact_id
    from told
    join crm.organizations as organization
        on organization.external_id = told.reading ->> 'organization'
    join delivery.messages as message
        on message.organization_id = organization.id
        and message.idempotency_key = told.reading ->> 'message_key'
)
select told.place
from told
where exists (
        select from named
        join ops.erasures as erased on erased.contact_ids @> array[named.contact_id]
        where named.place = told.place
    )
    or not exists (select from named where named.place = told.place)
        and exists (
            select from (select distinct organization_id from ops.erasures) as erasing
            join crm.organizations as organization on organization.id = erasing.organization_id
            where organization.external_id
                    = coalesce(told.reading ->> 'organization', organization.external_id)
                and ops.is_erased(
                    :inner_block, :outer_block, organization.id,
                    coalesce(told.reading ->> 'channel', 'email'), told.recipient
                )
        )
