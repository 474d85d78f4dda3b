-- The content of a message and what its templates are filled in with.
select message.channel, message.variables, content.content,
       coalesce(organization.name, organization.external_id) as organization,
       jsonb_strip_nulls(
           contact.attributes
           || jsonb_strip_nulls(
               to_jsonb(contact) - array['id', 'organization_id', 'attributes', 'source']
           )
       ) as fields
from delivery.messages as message
join delivery.contents as content on content.id = message.content_id
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
where message.id = :message_id
