-- Collects the event types that steps wait for. A type stays when no step waits for it any more:
-- arrivals of such types are few.
create or replace function lifecycle.collect_awaited_steps() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.awaited_events (purpose, organization_id, event_type)
    select distinct 'wait', organization_id, config ->> 'event'
    from touched
    where type = 'wait_for' and config ->> 'event' is not null
    order by 2, 3
    on conflict do nothing;
    return null;
end $$;
