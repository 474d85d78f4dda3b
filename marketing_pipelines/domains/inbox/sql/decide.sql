-- For each listed mail: the stored one with its identity, whether a contact takes part or one of our
-- messages is named, and whether an address of which the mail makes a contact has none;
-- and whether an erased person takes part or got that message.
select asked.uid, known.id, known.share,
       exists (
           select from crm.contacts as contact
           where contact.organization_id = :organization_id
               and delivery.address_of('email', contact.email) = any(asked.addresses)
       ) as has_contact,
       exists (
           select from delivery.messages as message
           where message.organization_id = :organization_id and message.id = any(asked.numbers)
       ) or exists (
           select from delivery.messages as message
           where message.organization_id = :organization_id
               and message.provider_message_id = any(asked.names)
       ) as names_ours,
       exists (
           select from unnest(asked.contacts) as made
           where not exists (
               select from crm.contacts as contact
               where contact.organization_id = :organization_id
                   and delivery.address_of('email', contact.email) = made
           )
       ) as lacks_contact,
       cast(:inner_block as bytea) is not null and (
           exists (
               select from unnest(asked.addresses) as address
               where ops.is_erased(
                   :inner_block, :outer_block, :organization_id, 'email', address
               )
           )
           or exists (
               select from delivery.messages as message
               join ops.erasures as erased on erased.contact_ids @> array[message.contact_id]
               where message.organization_id = :organization_id
                   and message.id = any(asked.numbers)
           )
       ) as is_erased
from jsonb_to_recordset(:asked) as asked (
    uid bigint, identity text, addresses text[], numbers bigint[], names text[], contacts text[]
)
left join inbox.email_messages as known
    on known.organization_id = :organization_id and known.identity = asked.identity
