-- A subscription keeps the address that the contact has at that time. In a category with double
-- opt-in it is not confirmed until its evidence says when.
create or replace function delivery.complete_subscription() returns trigger
language plpgsql as $$
begin
    select delivery.address_of('email', email) into new.address
    from crm.contacts
    where id = new.contact_id;
    if new.state = 'subscribed' and not new.evidence ? 'confirmed_at' and exists (
        select from delivery.categories
        where id = new.category_id and mode = 'double_opt_in'
    ) then
        new.state := 'unconfirmed';
    end if;
    if tg_op = 'UPDATE' and new.changed_at = old.changed_at and new.state <> old.state then
        new.changed_at := greatest(now(), old.changed_at);
    end if;
    return new;
end $$;
