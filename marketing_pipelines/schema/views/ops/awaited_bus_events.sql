-- Events that a consumer still has to read: waiting, active and dead tasks name them.
create or replace view ops.awaited_bus_events as
with unended as (
    select args from public.procrastinate_jobs
    where status in ('todo', 'doing') and (args ? 'event_id' or args ? 'event_ids')
    union all
    select payload from ops.dead_letters
    where state = 'dead' and (payload ? 'event_id' or payload ? 'event_ids')
)
select event_id::bigint
from unended
cross join lateral jsonb_array_elements_text(
    coalesce(args -> 'event_ids', jsonb_build_array(args -> 'event_id'))
) as named (event_id)
where event_id is not null;
comment on view ops.awaited_bus_events is 'Events that a waiting, active or dead task still has to read; retention keeps them';
comment on column ops.awaited_bus_events.event_id is 'Event';
