-- Has the contacts looked at whose awaited event has arrived, and forgets arrivals that nobody can
-- have missed. A pass that was under way when an event was committed may have brought a contact to
-- its wait without seeing either; so an arrival stays until every transaction that was open when it
-- was first looked at has ended.
with arrived as materialized (
    select id, contact_id, event_type, occurred_at, seen_by
    from lifecycle.event_arrivals
    where purpose = 'wait' and occurred_at < :tick
    order by id
    for update skip locked
),
woken as materialized (
    select enrolment.id
    from arrived
    join lifecycle.enrolments as enrolment
        on enrolment.contact_id = arrived.contact_id and enrolment.awaits = arrived.event_type
    where enrolment.status = 'active'
        and enrolment.next_step_at > :tick
        and arrived.occurred_at >= enrolment.arrived_at
    for no key update of enrolment skip locked
),
due as (
    update lifecycle.enrolments as enrolment
    set next_step_at = :tick
    where enrolment.id in (select id from woken)
    returning 1
),
forgotten as (
    delete from lifecycle.event_arrivals
    where id in (
        select id from arrived
        where seen_by < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    )
),
seen as (
    update lifecycle.event_arrivals
    set seen_by = pg_current_xact_id()::text::bigint
    where id in (select id from arrived where seen_by is null)
)
select count(*) from due
