-- Messages of the organization by their numbers or the ids that their servers gave them, with the
-- address that each went to.
select message.id, message.provider_message_id, recipient.address
from delivery.messages as message
left join crm.contacts as contact on contact.id = message.contact_id
-- A message of a former release has no address of its own.
cross join lateral (
    select coalesce(message.address, delivery.address_of('email', contact.email)) as address
) as recipient
where message.organization_id = :organization_id and message.channel = 'email'
    and recipient.address is not null
    and (message.id = any(:numbers) or message.provider_message_id = any(:names))
