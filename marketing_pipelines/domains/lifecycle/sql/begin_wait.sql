-- Has those wait who came to a wait that is not counted from the step before: one until a time of day
-- or a weekday, or one that could not be read when they came. Of the contact's own zone, else the
-- organization's, else the reporting zone; a zone that the server does not know is none. Of the
-- instants that the clock there shows this time, the first that was not over: a time that a day leaves
-- out is an hour later, one that comes twice is the second.
with zones as materialized (select name from pg_timezone_names),
arrived as (
    select moving.enrolment_id, moving.arrived_at, step.wait_seconds, step.wait_until,
           step.wait_weekday, zone.name as zone
    from moving
    join planned_steps as step using (step_id)
    join crm.contacts as contact on contact.id = moving.contact_id
    join crm.organizations as organization on organization.id = moving.organization_id
    left join zones as own on own.name = contact.timezone
    left join zones as shared on shared.name = organization.timezone
    cross join lateral (select coalesce(own.name, shared.name, :zone) as name) as zone
    where step.type = :type and moving.status = 'active' and moving.next_step_at <= :tick
        and not step.is_held
        and moving.next_step_at = moving.arrived_at
        and step.wait_seconds is distinct from 0
),
ends as (
    select enrolment_id,
           coalesce(arrived_at + make_interval(secs => wait_seconds), first.instant) as ends_at
    from arrived
    cross join lateral (
        select min(local.instant) as instant
        from generate_series(0, 8) as number
        cross join lateral (
            select date_trunc('day', arrived_at at time zone zone) + number * interval '1 day'
        ) as calendar (day)
        cross join lateral (
            select (day + coalesce(wait_until, '00:00'::time)) at time zone zone
        ) as local (instant)
        where local.instant >= arrived_at
            and (wait_weekday is null or extract(isodow from day) = wait_weekday)
    ) as first
)
update moving
set next_step_at = ends.ends_at, has_moved = true
from ends
where moving.enrolment_id = ends.enrolment_id
