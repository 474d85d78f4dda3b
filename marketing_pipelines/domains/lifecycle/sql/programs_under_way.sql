-- The programs of a kind that are not over.
select program.id, program.organization_id, program.external_id,
       organization.external_id as organization
from lifecycle.programs as program
join crm.organizations as organization on organization.id = program.organization_id
where program.kind = :kind and program.status not in ('completed', 'cancelled')
order by organization.external_id, program.external_id
