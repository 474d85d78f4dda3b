-- A message as it is now, if it is of the organization (null: of any).
select message.id, organization.external_id as organization, message.channel, message.kind,
       contact.external_id as contact, message.address, message.state, message.attempts,
       message.reason, message.queued_at, message.due_at, message.sent_at
from delivery.messages as message
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
where message.id = :id
    and (cast(:organization_id as bigint) is null or message.organization_id = :organization_id)
