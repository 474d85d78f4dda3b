-- One live trigger, locked; none if another run evaluates it, or if it is no longer live.
select trigger.id, trigger.organization_id, trigger.program_kind, trigger.program_id,
       trigger.type, trigger.segment_id, trigger.event_type, trigger.config, trigger.policy,
       trigger.evaluated_at, trigger.created_at, program.started_at
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
where trigger.id = :id and trigger.enabled and program.status = 'active'
for update of trigger skip locked
