-- The enabled triggers of a type whose programs are active, program by program.
select trigger.id, trigger.organization_id, trigger.program_kind, trigger.program_id,
       trigger.type, trigger.segment_id, trigger.event_type, trigger.config, trigger.policy,
       trigger.evaluated_at, trigger.created_at, program.started_at, trigger.external_id,
       program.external_id as program, organization.external_id as organization
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
join crm.organizations as organization on organization.id = trigger.organization_id
where trigger.type = :type and trigger.enabled and program.status = 'active'
order by trigger.program_kind, trigger.program_id, trigger.id
