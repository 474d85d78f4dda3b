-- Makes contacts due whose awaited event has arrived, and forgets arrivals that no contact can have
-- missed: of the next so many arrivals. Returns the number of these contacts, that of the arrivals,
-- and the last arrival. A pass that was under way when an event was committed may have brought a
-- contact to its wait without seeing either; so an arrival stays until every transaction that was
-- open when it was first seen has ended. It also stays while another transaction has locked its
-- contact. At a step that was edited, contacts no longer wait for the event: the next pass
-- evaluates them again.
with arrived as materialized (
    select id, contact_id, event_type, occurred_at, seen_by
    from lifecycle.event_arrivals
    where purpose = 'wait' and occurred_at < :tick and id > :after
    order by id
    limit :size
    for update skip locked
),
awaited as materialized (
    select arrived.id as arrival_id, arrived.event_type, arrived.occurred_at,
           enrolment.id as enrolment_id
    from arrived
    join lifecycle.enrolments as enrolment
        on enrolment.contact_id = arrived.contact_id and enrolment.awaits = arrived.event_type
    join lifecycle.steps as step on step.id = enrolment.step_id and not step.is_edited
    where enrolment.status = 'active'
        and enrolment.next_step_at > :tick
        and arrived.occurred_at >= enrolment.arrived_at
),
woken as materialized (
    select enrolment.id
    from awaited
    join lifecycle.enrolments as enrolment on enrolment.id = awaited.enrolment_id
    where enrolment.status = 'active'
        and enrolment.awaits = awaited.event_type
        and enrolment.next_step_at > :tick
        and awaited.occurred_at >= enrolment.arrived_at
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
        except
        select arrival_id from awaited where enrolment_id not in (select id from woken)
    )
),
seen as (
    update lifecycle.event_arrivals
    set seen_by = pg_current_xact_id()::text::bigint
    where id in (select id from arrived where seen_by is null)
)
select (select count(*) from due) as woken, count(*) as arrivals, max(id) as last
from arrived
