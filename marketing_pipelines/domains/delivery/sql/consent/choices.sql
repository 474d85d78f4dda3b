-- The categories of an organization, and whether the contact gets their messages.
select category.id, category.external_id, coalesce(category.name, category.external_id) as name,
       category.mode, subscription.state,
       not :is_suppressed and delivery.consent_problem(
           category.organization_id, :contact_id, category.id, delivery.address_of('email', contact.email)
       ) is null as is_on
from delivery.categories as category
join crm.contacts as contact on contact.id = :contact_id
left join delivery.subscriptions as subscription
    on subscription.category_id = category.id and subscription.contact_id = contact.id
where category.organization_id = :organization_id
order by category.is_default desc, name, category.id
