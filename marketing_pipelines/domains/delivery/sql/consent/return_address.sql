-- Brings back the other contacts with the same address, which had left the category with it.
update delivery.subscriptions as other
set state = 'subscribed', source = :source, evidence = cast(:evidence as jsonb), changed_at = :now
from crm.contacts as contact
where contact.id = :contact_id
    and other.category_id = :category_id and other.contact_id <> contact.id
    and other.state = 'unsubscribed'
    and other.address = delivery.address_of('email', contact.email)
