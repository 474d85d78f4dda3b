-- Programs of which contacts are still due after a pass.
select program.id
from lifecycle.programs as program
cross join lateral (
    select from lifecycle.enrolments as enrolment
    where enrolment.program_kind = program.kind
        and enrolment.program_id = program.id
        and enrolment.status = 'active'
        and enrolment.next_step_at <= :tick
    limit 1
) as due
where program.kind = :kind and program.status = 'active'
