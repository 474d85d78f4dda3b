-- Changes a subscription as an application says; a confirmed one stays confirmed. Returns its number,
-- or nothing where it is so already.
insert into delivery.subscriptions (
    organization_id, contact_id, category_id, state, source, evidence, changed_at
)
values (
    :organization_id, :contact_id, :category_id, :state, 'api', cast(:evidence as jsonb), :now
)
on conflict (contact_id, category_id) do update
set state = excluded.state, source = excluded.source, evidence = excluded.evidence,
    changed_at = excluded.changed_at,
    -- After leaving, a new confirmation is asked for at once.
    asked_at = case when subscriptions.state <> 'unsubscribed' then subscriptions.asked_at end
where subscriptions.state <> excluded.state
    -- A trigger makes it unconfirmed in a category with double opt-in.
    and not (subscriptions.state = 'subscribed' and excluded.state = 'unconfirmed')
returning id
