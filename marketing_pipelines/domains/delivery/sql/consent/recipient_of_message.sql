-- The recipient of a message and its category; no row where it went to no contact.
select message.id as message_id, message.organization_id, message.contact_id, message.channel,
       coalesce(organization.name, organization.external_id) as organization,
       coalesce(message.category_id, delivery.default_category(message.organization_id))
           as category_id,
       case message.channel when 'sms' then contact.phone else contact.email end as address
from delivery.messages as message
join crm.organizations as organization on organization.id = message.organization_id
join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
where message.id = :message_id
