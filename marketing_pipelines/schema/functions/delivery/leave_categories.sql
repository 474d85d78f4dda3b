-- An event `unsubscribed` that names a category ends that subscription, and suppresses nothing.
create or replace function delivery.leave_categories() returns trigger
language plpgsql as $$
begin
    insert into delivery.subscriptions (
        organization_id, contact_id, category_id, state, source, changed_at
    )
    select touched.organization_id, touched.contact_id, category.id, 'unsubscribed', 'event',
           max(touched.occurred_at)
    from touched
    join delivery.categories as category
        on category.organization_id = touched.organization_id
        and category.external_id = touched.properties ->> 'category'
    where touched.event_type = 'unsubscribed'
    group by touched.organization_id, touched.contact_id, category.id
    order by touched.contact_id, category.id
    on conflict (contact_id, category_id) do update
    set state = excluded.state, source = excluded.source, changed_at = excluded.changed_at
    where subscriptions.state <> 'unsubscribed' and subscriptions.changed_at <= excluded.changed_at;
    return null;
end $$;
