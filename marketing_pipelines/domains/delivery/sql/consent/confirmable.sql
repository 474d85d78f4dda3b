-- The subscription that a confirmation is about.
select subscription.state, coalesce(category.name, category.external_id) as category,
       coalesce(organization.name, organization.external_id) as organization,
       category.organization_id
from delivery.categories as category
join crm.organizations as organization on organization.id = category.organization_id
join crm.contacts as contact
    on contact.id = :contact_id and contact.organization_id = category.organization_id
left join delivery.subscriptions as subscription
    on subscription.category_id = category.id and subscription.contact_id = contact.id
where category.id = :category_id
