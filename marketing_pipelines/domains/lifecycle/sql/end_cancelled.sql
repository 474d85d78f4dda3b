-- Ends active enrolments of cancelled programs, as of the cancellation, so many at a time. Returns
-- their number and when they ended. Enrolments that another transaction has locked are left to the
-- next pass.
with left_over as materialized (
    select enrolment.id, greatest(coalesce(enrolment.arrived_at, enrolment.entered_at),
                                  least(program.cancelled_at, :tick)) as ended_at
    from (
        select id, cancelled_at
        from lifecycle.programs
        where kind = :kind and status = 'cancelled'
        order by id
        offset 0
    ) as program
    cross join lateral (
        select id, arrived_at, entered_at
        from lifecycle.enrolments
        where program_kind = :kind and program_id = program.id and status = 'active'
        order by next_step_at, id
        limit :size
        for no key update skip locked
    ) as enrolment
    limit :size
),
ended as (
    update lifecycle.enrolments as enrolment
    set status = 'exited', exited_at = left_over.ended_at, reason = 'cancelled',
        next_step_at = null, awaits = null
    from left_over
    where enrolment.id = left_over.id
    returning enrolment.id, enrolment.step_id, enrolment.exited_at
),
noted as (
    insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)
    select id, step_id, 'exited', 'cancelled', exited_at from ended where step_id is not null
    on conflict do nothing
)
select count(*) as ended, array_agg(distinct exited_at) as instants from ended
