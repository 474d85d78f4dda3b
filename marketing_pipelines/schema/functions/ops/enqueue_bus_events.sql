-- Enqueues events for their consumers, or for one of them, and returns the number of new tasks: one
-- for each event, after the contact's earlier ones; for a bulk consumer one for at most 10,000 events.
-- A task that would be the second to wait for the same events is left out.
create or replace function ops.enqueue_bus_events(
    ids bigint[], types text[], contacts bigint[], only_task text default null
) returns bigint
language plpgsql as $$
declare
    enqueued bigint;
begin
    with told as materialized (
        select event.id, event.contact_id, consumer.queue, consumer.task, consumer.is_bulk
        from unnest(ids, types, contacts) as event (id, type, contact_id)
        join ops.bus_consumers() as consumer on consumer.event_type = event.type
        where only_task is null or consumer.task = only_task
    ),
    part as (
        select *, (row_number() over (partition by task order by id) - 1) / 10000 as number
        from told
        where is_bulk
    ),
    task as (
        select id as place, queue, task, task || '/contact/' || contact_id as lock,
               task || '/event/' || id as queueing_lock, jsonb_build_object('event_id', id) as args
        from told
        where not is_bulk
        union all
        select min(id), queue, task, null, task || '/events/' || min(id) || '-' || max(id),
               jsonb_build_object('event_ids', array_agg(id order by id))
        from part
        group by queue, task, number
    )
    insert into public.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
    select queue, task, lock, queueing_lock, args
    from task
    order by place, task
    on conflict (queueing_lock) where status = 'todo' do nothing;
    get diagnostics enqueued = row_count;
    return enqueued;
end $$;
