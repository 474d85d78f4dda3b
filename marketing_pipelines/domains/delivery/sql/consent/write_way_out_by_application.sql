-- Writes into the activity of a contact that an application took it out of a category. The change of
-- the subscription gives the event its id.
insert into analytics.contact_activity (
    organization_id, event_id, contact_id, event_type, occurred_at, received_at, properties
)
select change.organization_id, 'subscription_change:' || change.id || ':' || 'unsubscribed',
       change.contact_id, 'unsubscribed', :now, :now,
       jsonb_build_object('category', category.external_id, 'channel', 'email')
from delivery.subscription_changes as change
join delivery.categories as category on category.id = change.category_id
where change.contact_id = :contact_id and change.category_id = :category_id
order by change.id desc
limit 1
