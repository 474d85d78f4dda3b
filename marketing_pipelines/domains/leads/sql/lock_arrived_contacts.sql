-- Locks the contacts of the arrivals, which are written twice, in the order that all statements use.
select id
from crm.contacts
where id = any(array(select contact_id from arrived))
order by id
for no key update
