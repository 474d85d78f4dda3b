-- Has those wait who came to a wait until a time of day or a weekday of their own zone: the contact's,
-- else the organization's, else the reporting zone; a zone that the server does not know is none.
-- Of the instants that the clock there shows this time, the first that is not over: a time that a day
-- leaves out is an hour later, one that comes twice is the second.
with zones as materialized (select name from pg_timezone_names),
arrived as (
    select moving.enrolment_id, step.wait_until, step.wait_weekday, zone.name as zone
    from moving
    join planned_steps as step using (step_id)
    join crm.contacts as contact on contact.id = moving.contact_id
    join crm.organizations as organization on organization.id = moving.organization_id
    left join zones as own on own.name = contact.timezone
    left join zones as shared on shared.name = organization.timezone
    cross join lateral (select coalesce(own.name, shared.name, :zone) as name) as zone
    where moving.status = 'active' and moving.has_moved and moving.arrived_at = :tick
        and moving.next_step_at <= :tick
        and step.type = 'wait' and (step.wait_until is not null or step.wait_weekday is not null)
        and moving.enrolment_id in (select enrolment_id from outcomes)
),
days as (
    select enrolment_id, min(instant.at) as ends_at
    from arrived
    cross join lateral (
        select date_trunc('day', cast(:tick as timestamptz) at time zone zone)
               + number * interval '1 day' as day
        from generate_series(0, 8) as number
    ) as local
    cross join lateral (
        select (day + coalesce(wait_until, '00:00'::time)) at time zone zone as at
    ) as instant
    where instant.at >= :tick
        and (wait_weekday is null or extract(isodow from day) = wait_weekday)
    group by enrolment_id
)
update moving
set next_step_at = days.ends_at
from days
where moving.enrolment_id = days.enrolment_id
