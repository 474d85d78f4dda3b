-- Events of the installation itself since an instant: the end of each session of a job, each alert,
-- and each report of health with another status than the one before it.
create or replace function webhooks.operations(since timestamptz)
returns table (event_id text, type text, data jsonb, at timestamptz)
language sql stable as $$
    select event.event_id, event.type, webhooks.cut_data(event.data), event.at
    from (
        select 'session:' || id as event_id,
               case when status = 'COMPLETED' then 'job.completed' else 'job.failed' end as type,
               jsonb_build_object(
                   'job', job, 'partition', partition, 'tick', tick, 'status', status,
                   'started_at', started_at, 'ended_at', ended_at, 'run', run_id, 'error', error,
                   'items_ok', items_ok, 'items_failed', items_failed) as data,
               ended_at as at
        from ops.job_sessions
        -- The index has the starts; no job takes a day.
        where started_at > since - interval '1 day' and ended_at > since and not will_retry
            and status in ('COMPLETED', 'FAILED', 'CANCELED', 'TIMED_OUT', 'ABANDONED')
        union all
        select 'alert:' || alert.id, 'alert.' || alert.kind,
               jsonb_build_object(
                   'subject', incident.subject, 'failures', incident.failures,
                   'opened_at', incident.opened_at, 'recovered_at', incident.recovered_at,
                   'error', incident.error, 'run', incident.run_id),
               alert.recorded_at
        from ops.alerts as alert
        join ops.incidents as incident on incident.id = alert.incident_id
        where alert.recorded_at > since
        union all
        -- In microseconds: two reports may share a second.
        select 'health:' || (extract(epoch from report.at) * 1000000)::bigint, 'health.changed',
               jsonb_build_object(
                   'from', former.status, 'to', report.status, 'at', report.at,
                   'reasons', report.report -> 'reasons'),
               report.at
        from ops.health_reports as report
        join lateral (
            select status from ops.health_reports as earlier
            where earlier.at < report.at
            order by earlier.at desc
            limit 1
        ) as former on former.status <> report.status
        where report.at > since
    ) as event
$$;
