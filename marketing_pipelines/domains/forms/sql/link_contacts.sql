-- Links the contacts that were made to their submissions.
update read_submissions as own
set contact_id = contact.id
from crm.contacts as contact
where contact.organization_id = :organization_id and contact.external_id = own.contact_name
