-- Campaign days that are done, and yesterday, which may be counted at this moment, become stale from
-- an instant on.
create or replace function campaigns.mark_days_from(changed_from timestamptz) returns void
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid, cause)
    select 'analytics/campaign_daily_stats', day, pg_current_xact_id()::text::bigint, 'enrolment'
    from ops.installation
    join ops.zones as zone on zone.name = installation.timezone
    cross join lateral (
        select finished.partition as day
        from analytics.finished_partitions as finished
        where finished.asset = 'analytics/campaign_daily_stats'
        union
        select to_char(
            ops.local_time(now(), zone.starts_at, zone.utc_offsets) - interval '1 day', 'YYYY-MM-DD')
    ) as days
    where day >= to_char(
        ops.local_time(changed_from, zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD')
    on conflict do nothing;
end $$;
