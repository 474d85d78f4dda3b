-- Contacts of active programs with steps who have been due since before an instant, by program.
-- One look into the index for each program: what paused programs hold is not read.
select program.id as program_id, late.contacts
from lifecycle.programs as program
cross join lateral (
    select count(*) as contacts
    from lifecycle.enrolments as enrolment
    where enrolment.program_kind = program.kind
        and enrolment.program_id = program.id
        and enrolment.status = 'active'
        and enrolment.next_step_at < :before
    offset 0
) as late
where program.kind = :kind
    and program.status = 'active'
    and late.contacts > 0
    and exists (
        select from lifecycle.steps
        where steps.program_kind = program.kind and steps.program_id = program.id
    )
order by program.id
