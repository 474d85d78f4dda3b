-- Contacts of active programs who have been due since before an instant, by program.
select program.external_id as program, count(*) as contacts
from lifecycle.programs as program
join lifecycle.enrolments as enrolment
    on enrolment.program_kind = program.kind and enrolment.program_id = program.id
where program.kind = :kind
    and program.status = 'active'
    and enrolment.status = 'active'
    and enrolment.next_step_at < :before
    and exists (
        select from lifecycle.steps
        where steps.program_kind = program.kind and steps.program_id = program.id and steps.enabled
    )
group by program.external_id
