-- Marks the hours that a statement touched. The running hour is left out: its schedule does it, and
-- one mark per transaction would be one row per transaction. The export of an hour waits for
-- transactions that began before the hour ended, so nothing falls between the two.
create or replace function analytics.mark_touched_hours() returns trigger
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid, cause)
    select 'analytics/contact_activity',
           to_char(hour at time zone 'UTC', 'YYYY-MM-DD-HH24:00'),
           pg_current_xact_id()::text::bigint, 'late'
    from (
        select distinct date_bin('1 hour', occurred_at, timestamptz '2000-01-01 00:00:00+00') as hour
        from touched
    ) as hours
    where hour + interval '1 hour' <= clock_timestamp()
    order by hour
    on conflict do nothing;
    return null;
end $$;
