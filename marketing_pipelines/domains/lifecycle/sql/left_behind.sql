-- Contacts of active programs with steps who are still due, and since before an instant, by program.
-- One look into the index for each program: contacts of paused programs are not read. It passes
-- over the old places of all who were moved, so that the next pass need not.
select program.id as program_id, late.contacts
from lifecycle.programs as program
cross join lateral (
    select count(*) filter (where enrolment.next_step_at < :before) as contacts
    from lifecycle.enrolments as enrolment
    where enrolment.program_kind = program.kind
        and enrolment.program_id = program.id
        and is_due(enrolment)
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
