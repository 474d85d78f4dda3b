-- One task of the queue, now claimed by the worker, or null; seconds until the next fetch is
-- useful, null where only a new task can change anything. No task of a paused queue. A task of a
-- limited queue only while fewer than the limit have started within the last second: each start is
-- stored as the instant before which the task's first line runs (the worker releases a task that
-- would be later), so that the limit holds for the tasks themselves. Starts far ahead were stored
-- before the server's time was set back.
create or replace function ops.fetch_task(
    wanted_queue text,
    fetching_worker bigint,
    per_second integer,
    margin_seconds double precision,
    out task public.procrastinate_jobs,
    out wait_seconds double precision
)
language plpgsql as $$
declare
    state ops.queue_states;
    recent timestamptz[];
begin
    if per_second is null then
        select * into state from ops.queue_states where queue = wanted_queue;
    else
        select * into state from ops.queue_states where queue = wanted_queue for update;
        if not found then
            insert into ops.queue_states (queue) values (wanted_queue) on conflict do nothing;
            select * into state from ops.queue_states where queue = wanted_queue for update;
        end if;
    end if;
    if state.paused_at is not null then
        return;
    end if;
    if per_second is not null then
        recent := array(
            select start from unnest(state.starts) as start
            where start > clock_timestamp() - interval '1 second'
                and start < clock_timestamp() + interval '1 minute'
            order by start desc
        );
        if cardinality(recent) >= per_second then
            wait_seconds := extract(
                epoch from recent[per_second] + interval '1 second' - clock_timestamp()
            );
            return;
        end if;
    end if;
    -- Procrastinate's own fetch, of one queue instead of several, so that an index has the order.
    update public.procrastinate_jobs as job
    set status = 'doing', worker_id = fetching_worker
    from (
        select waiting.id
        from public.procrastinate_jobs as waiting
        where waiting.status = 'todo'
            and waiting.queue_name = wanted_queue
            and (waiting.scheduled_at is null or waiting.scheduled_at <= now())
            and not exists (
                select from public.procrastinate_jobs as earlier
                where waiting.lock is not null
                    and earlier.lock = waiting.lock
                    and (
                        earlier.status = 'doing'
                        or earlier.status = 'todo'
                        and (-earlier.priority, earlier.id) < (-waiting.priority, waiting.id)
                    )
            )
        order by waiting.priority desc, waiting.id
        limit 1
        for update of waiting skip locked
    ) as candidate
    where job.id = candidate.id
    returning job.* into task;
    if task.id is null then
        wait_seconds := (
            select extract(epoch from min(scheduled_at) - clock_timestamp())
            from public.procrastinate_jobs
            where queue_name = wanted_queue and status = 'todo' and scheduled_at > now()
        );
    elsif per_second is not null then
        update ops.queue_states
        set starts = clock_timestamp() + make_interval(secs => margin_seconds) || recent
        where queue = wanted_queue;
    end if;
end $$;
