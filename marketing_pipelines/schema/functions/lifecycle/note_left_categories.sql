-- Contacts leave a sequence when they leave the category of its next message, also while they wait, and
-- so do those with the address.
create or replace function lifecycle.note_left_categories() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change)
    select 'sequence', organization_id, contact_id, 'unreachable'
    from touched
    where state = 'unsubscribed'
    union
    select 'sequence', contact.organization_id, contact.id, 'unreachable'
    from touched
    join crm.contacts as contact
        on contact.organization_id = touched.organization_id
        and delivery.address_of('email', contact.email) = touched.address
    where touched.state = 'unsubscribed'
    order by 2, 3;
    return null;
end $$;
