-- Collects the event types that triggers wait for; a type stays, as do types of steps.
create or replace function lifecycle.collect_awaited_triggers() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.awaited_events (purpose, organization_id, event_type)
    select distinct 'trigger', organization_id, event_type
    from touched
    where type = 'event' and event_type is not null
    order by 2, 3
    on conflict do nothing;
    return null;
end $$;
