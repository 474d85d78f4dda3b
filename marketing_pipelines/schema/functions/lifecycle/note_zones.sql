-- Waits until a local time are in the contact's zone, else in the organization's; kinds without such
-- a wait need no note. `execute` plans anew by the number of changed rows: a plan that the session
-- keeps from a statement of one row compares all with all in one of many.
create or replace function lifecycle.note_zones() returns trigger
language plpgsql as $$
begin
    execute $query$
        insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change)
        select local_wait.program_kind, after.organization_id, after.id, 'zone'
        from before_change as before
        join after_change as after using (id)
        join (
            select distinct organization_id, program_kind
            from lifecycle.steps
            where type = 'wait' and jsonb_exists_any(config, array['until', 'weekday'])
        ) as local_wait on local_wait.organization_id = after.organization_id
        where before.timezone is distinct from after.timezone
        order by 1, 2, 3
    $query$;
    return null;
end $$;
