-- Counts a session in the transaction that closes it.
create or replace function ops.count_ended_sessions() returns trigger
language plpgsql as $$
begin
    insert into ops.job_totals as total
    select ended.job, case when ended.will_retry then 'RETRIED' else ended.status end, count(*),
           coalesce(sum(ended.duration_ms), 0) / 1000.0,
           ops.duration_buckets(array_agg(ended.duration_ms)), coalesce(sum(ended.items_failed), 0),
           max(ended.started_at), max(ended.ended_at)
    from ended
    join began using (id)
    where began.status in ('QUEUED', 'RUNNING') and ended.status not in ('QUEUED', 'RUNNING')
    group by 1, 2
    order by 1, 2
    on conflict (job, status) do update
    set runs = total.runs + excluded.runs,
        seconds = total.seconds + excluded.seconds,
        buckets = array(
            select so_far + added
            from unnest(total.buckets, excluded.buckets) with ordinality as pair (so_far, added, n)
            order by n
        ),
        items_failed = total.items_failed + excluded.items_failed,
        last_started_at = greatest(total.last_started_at, excluded.last_started_at),
        last_ended_at = greatest(total.last_ended_at, excluded.last_ended_at);
    return null;
end $$;
