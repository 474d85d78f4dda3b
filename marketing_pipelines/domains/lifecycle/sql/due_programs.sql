-- Active programs of a kind with contacts that are due, and with steps.
-- One look into the index for each program: contacts of paused programs are not read.
select program.id, program.organization_id, program.external_id,
       organization.external_id as organization
from lifecycle.programs as program
join crm.organizations as organization on organization.id = program.organization_id
cross join lateral (
    select from lifecycle.enrolments as enrolment
    where enrolment.program_kind = program.kind
        and enrolment.program_id = program.id
        and is_due(enrolment)
    limit 1
) as due
where program.kind = :kind
    and program.status = 'active'
    and exists (
        select from lifecycle.steps
        where steps.program_kind = program.kind and steps.program_id = program.id
    )
order by program.id
