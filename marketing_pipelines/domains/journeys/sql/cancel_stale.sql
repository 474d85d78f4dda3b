-- Cancels executions of active journeys that were due before an instant and that the latest pass did
-- not move, up to so many; returns how many. Executions that waited for their paused journey are
-- not late.
with stale as (
    select enrolment.id, enrolment.step_id
    from journey.journeys as journey
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = 'journey' and enrolment.program_id = journey.id
        and enrolment.status = 'active' and enrolment.next_step_at < :before
        and enrolment.next_step_at <= cast(:passed as timestamptz)
    where journey.organization_id = :organization_id and journey.status = 'active'
        and (journey.resumed_at is null or journey.resumed_at < :before)
    order by enrolment.program_id, enrolment.next_step_at, enrolment.id
    limit :most
    for update of enrolment skip locked
),
canceled as (
    update lifecycle.enrolments as enrolment
    set status = 'canceled', exited_at = :tick, reason = :reason, next_step_at = null,
        awaits = null
    from stale
    where enrolment.id = stale.id
    returning enrolment.id, coalesce(enrolment.step_id, 0) as step_id
),
logged as (
    insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)
    select id, step_id, 'canceled', :reason, :tick from canceled order by id
    on conflict (enrolment_id, step_id) do update
    set outcome = excluded.outcome, reason = excluded.reason, at = excluded.at
)
select count(*) from canceled
