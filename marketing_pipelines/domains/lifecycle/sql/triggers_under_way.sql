-- The enabled triggers on events and dates of programs that are not over, by organization.
select trigger.organization_id, trigger.external_id, trigger.type, trigger.event_type,
       trigger.config, trigger.program_kind, program.external_id as program,
       organization.external_id as organization
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
join crm.organizations as organization on organization.id = trigger.organization_id
where trigger.type in ('event', 'date') and trigger.enabled
    and program.status not in ('completed', 'cancelled')
order by trigger.organization_id, trigger.program_kind, program.external_id, trigger.external_id
