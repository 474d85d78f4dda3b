-- As `note_zones` does for a contact: contacts without a time zone have the one of their organization.
create or replace function lifecycle.note_organization_zones() returns trigger
language plpgsql as $$
begin
    execute $query$
        insert into lifecycle.contact_changes (program_kind, organization_id, change)
        select distinct step.program_kind, step.organization_id, 'zone'
        from before_change as before
        join after_change as after using (id)
        join lifecycle.steps as step on step.organization_id = after.id
        where before.timezone is distinct from after.timezone
            and step.type = 'wait' and jsonb_exists_any(step.config, array['until', 'weekday'])
        order by 1, 2
    $query$;
    return null;
end $$;
