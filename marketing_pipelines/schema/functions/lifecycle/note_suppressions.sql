-- Contacts leave a sequence when they unsubscribe, complain or bounce, also while they wait, and so
-- do those that have a suppressed address.
create or replace function lifecycle.note_suppressions() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change)
    select 'sequence', organization_id, contact_id, 'unreachable'
    from touched
    where channel in ('email', 'all') and contact_id is not null
    union
    select 'sequence', contact.organization_id, contact.id, 'unreachable'
    from touched
    join crm.contacts as contact
        on contact.organization_id = touched.organization_id
        and delivery.address_of('email', contact.email) = touched.address
    where touched.channel in ('email', 'all')
    order by 2, 3;
    return null;
end $$;
