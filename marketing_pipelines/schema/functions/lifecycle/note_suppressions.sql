-- Contacts leave a sequence when they unsubscribe, complain or bounce, also while they wait.
create or replace function lifecycle.note_suppressions() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change)
    select distinct 'sequence', organization_id, contact_id, 'unreachable'
    from touched
    where channel in ('email', 'all')
    order by 2, 3;
    return null;
end $$;
