-- Counts the contacts of an organization that wait to be asked about.
select count(*)
from crm.contacts
where organization_id = :organization_id
    and delivery.address_of('email', email) is not null
    and (enriched_at is null or enriched_at <= :before)
