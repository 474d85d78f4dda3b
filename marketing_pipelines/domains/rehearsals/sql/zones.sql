-- The time zones of the contacts, each with its contacts.
select coalesce(contact.timezone, organization.timezone, :zone) as zone, count(*) as contacts
from crm.contacts as contact
join crm.organizations as organization on organization.id = contact.organization_id
group by 1
order by 2 desc, 1
