-- The programs of a kind that have steps and are not over.
select program.id, program.organization_id, program.external_id,
       organization.external_id as organization
from lifecycle.programs as program
join crm.organizations as organization on organization.id = program.organization_id
where program.kind = :kind
    and program.status not in ('completed', 'cancelled')
    and exists (
        select from lifecycle.steps
        where steps.program_kind = program.kind and steps.program_id = program.id
    )
order by organization.external_id, program.external_id
