-- Campaign days that are over or done become stale when enrolments of that day change. The writer's
-- own time decides if a day is over: a trigger has no tick. The count of a day waits for
-- transactions that began before the day ended.
create or replace function lifecycle.mark_days(instants timestamptz[]) returns void
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid, cause)
    with days as materialized (
        select distinct
            to_char(ops.local_time(at, zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD') as day
        from ops.installation
        join ops.zones as zone on zone.name = installation.timezone
        cross join unnest(instants) as at
        where at is not null
    )
    select finished.asset, finished.partition, pg_current_xact_id()::text::bigint, 'enrolment'
    from days
    join analytics.finished_partitions as finished
        on finished.asset = 'analytics/campaign_daily_stats' and finished.partition = days.day
    union
    select 'analytics/campaign_daily_stats', days.day, pg_current_xact_id()::text::bigint, 'enrolment'
    from ops.installation
    join ops.zones as zone on zone.name = installation.timezone
    cross join lateral
        to_char(ops.local_time(now(), zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD') as today
    join days on days.day < today
    on conflict do nothing;
end $$;
