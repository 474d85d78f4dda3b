-- Publishes the new open tasks of a statement.
create or replace function crm.publish_tasks() returns trigger
language plpgsql as $$
begin
    insert into ops.bus_events (organization_id, contact_id, type, version, payload)
    select organization_id, contact_id, 'task.created', 1,
           jsonb_build_object('task', id, 'tick', created_at)
    from touched
    where state = 'open'
    order by id;
    return null;
end $$;
