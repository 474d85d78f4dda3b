-- PostgreSQL. The ids of contacts that another loader made at the same moment.
update event_contact_ids as unknown
set id = contact.id
from event_contacts as loaded
join event_organizations as organization on organization.number = loaded.organization
join crm.contacts as contact
    on contact.organization_id = organization.id and contact.external_id = loaded.external_id
where unknown.id is null and loaded.number = unknown.number
