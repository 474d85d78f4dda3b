-- Other contacts of the organization that have the contact's e-mail address.
select other.external_id
from crm.contacts as contact
join crm.contacts as other
    on other.organization_id = contact.organization_id
    and delivery.address_of('email', other.email) = delivery.address_of('email', contact.email)
    and other.id <> contact.id
where contact.id = :contact_id
order by other.id
