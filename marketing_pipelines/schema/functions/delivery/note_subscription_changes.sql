-- Every change of a subscription is a row of its history.
create or replace function delivery.note_subscription_changes() returns trigger
language plpgsql as $$
begin
    insert into delivery.subscription_changes (
        organization_id, contact_id, category_id, state, source, evidence, changed_at
    )
    select organization_id, contact_id, category_id, state, source, evidence, changed_at
    from touched
    order by id;
    return null;
end $$;
