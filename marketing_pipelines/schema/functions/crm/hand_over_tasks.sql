-- Open tasks of the former owner of a contact go to the next one.
create or replace function crm.hand_over_tasks() returns trigger
language plpgsql as $$
begin
    execute $query$
        update crm.tasks as task set owner_id = after.owner_id
        from before_change as before
        join after_change as after using (id)
        where before.owner_id is distinct from after.owner_id
            and task.contact_id = after.id and task.state = 'open'
            and task.owner_id is not distinct from before.owner_id
    $query$;
    return null;
end $$;
