-- Brings recipients back who joined the category of their message again.
update delivery.subscriptions as subscription
set state = 'subscribed', source = 'event',
    evidence = subscription.evidence || jsonb_build_object('confirmed_at', event.received_at),
    changed_at = event.received_at
from delivery.message_events as event
join delivery.messages as message on message.id = event.message_id
join delivery.categories as category
    on category.organization_id = message.organization_id
    and (
        category.external_id = event.reading ->> 'category'
        or category.id = coalesce(
            message.category_id, delivery.default_category(message.organization_id)
        )
        and not exists (
            select from delivery.categories as named
            where named.organization_id = message.organization_id
                and named.external_id = event.reading ->> 'category'
        )
    )
where event.id = any(:ids) and event.type = 'resubscribed' and event.reading ? 'has_category'
    and subscription.category_id = category.id
    and subscription.contact_id = message.contact_id
    and subscription.state = 'unsubscribed'
