-- The given steps of active programs at which contacts are still due after a pass.
select step.step_id
from planned_steps as step
join lifecycle.programs as program
    on program.kind = :kind and program.id = step.program_id and program.status = 'active'
cross join lateral (
    select from lifecycle.enrolments as enrolment
    where enrolment.program_kind = :kind
        and enrolment.program_id = step.program_id
        and is_due(enrolment)
        and coalesce(enrolment.step_id, -enrolment.program_id) = step.step_id
    limit 1
) as due
where step.step_id = any(cast(:steps as bigint[]))
