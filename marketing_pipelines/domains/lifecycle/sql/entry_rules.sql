-- The triggers of a program, each with the contact's membership in its segment.
select trigger.external_id as name, trigger.organization_id, trigger.type, trigger.event_type,
       trigger.config, trigger.policy, trigger.enabled, trigger.created_at, program.started_at,
       segment.external_id as segment, membership.entered_at as member_since
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
left join segments.segments as segment on segment.id = trigger.segment_id
left join segments.memberships as membership
    on membership.segment_id = segment.id
    and membership.contact_id = :contact
    and membership.left_at is null
where trigger.program_kind = :kind and trigger.program_id = :program
order by trigger.external_id
