-- Confirms a subscription that waits for it; returns nothing where none does.
update delivery.subscriptions
set state = 'subscribed', source = 'link', changed_at = :now,
    evidence = evidence || cast(:evidence as jsonb)
where contact_id = :contact_id and category_id = :category_id and state = 'unconfirmed'
returning id, organization_id
