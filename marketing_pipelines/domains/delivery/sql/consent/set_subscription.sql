-- Changes a subscription; returns its number, or nothing where it is so already.
insert into delivery.subscriptions (
    organization_id, contact_id, category_id, state, source, evidence, changed_at
)
values (:organization_id, :contact_id, :category_id, :state, :source, cast(:evidence as jsonb), :now)
on conflict (contact_id, category_id) do update
set state = excluded.state, source = excluded.source, evidence = excluded.evidence,
    changed_at = excluded.changed_at
where subscriptions.state <> excluded.state
returning id
