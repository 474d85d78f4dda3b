-- Begins waits that are not counted from the step before: until a time of day or a weekday, or of a
-- step that could not be read when the contact came to it. Of the contact's own zone, else the
-- organization's, else the reporting zone; an unknown zone is none. The wait ends at the first such
-- local time that was not over; of a time that occurs twice, the first counts. A skipped time is
-- later by the length of the gap.
with arrived as materialized (
    select batch.enrolment_id, batch.arrived_at, step.wait_seconds, step.wait_until,
           step.wait_weekday, coalesce(own.name, shared.name, :zone) as zone
    from batch
    join planned_steps as step using (step_id)
    join crm.contacts as contact on contact.id = batch.contact_id
    join crm.organizations as organization on organization.id = batch.organization_id
    left join ops.zones as own on own.name = contact.timezone
    left join ops.zones as shared on shared.name = organization.timezone
    where step.type = :type and is_due(batch)
        and not step.is_blocked
        and batch.next_step_at = batch.arrived_at
        and step.wait_seconds is distinct from 0
),
-- Joined to nothing, the arrays lie unpacked.
zones as materialized (
    select name, starts_at || '{}' as starts_at, starts_local || '{}' as starts_local,
           utc_offsets || '{}' as utc_offsets
    from ops.zones
    where name in (select zone from arrived)
),
ends as (
    select arrived.enrolment_id,
           coalesce(arrived_at + make_interval(secs => wait_seconds), first.instant) as ends_at
    from arrived
    join zones on zones.name = arrived.zone
    cross join lateral (
        select min(local.instant) as instant
        from generate_series(0, 8) as number
        cross join lateral (
            select date_trunc('day', ops.local_time(arrived_at, starts_at, utc_offsets))
                + number * interval '1 day'
        ) as calendar (day)
        cross join lateral (
            select ops.instant_of(
                day + coalesce(wait_until, '00:00'::time), starts_local, utc_offsets)
        ) as local (instant)
        where local.instant >= arrived_at
            and (wait_weekday is null or extract(isodow from day) = wait_weekday)
    ) as first
)
update batch
set next_step_at = ends.ends_at, has_moved = true
from ends
where batch.enrolment_id = ends.enrolment_id
