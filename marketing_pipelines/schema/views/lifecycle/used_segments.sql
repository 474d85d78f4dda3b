create or replace view lifecycle.used_segments as
select trigger.segment_id
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
where trigger.segment_id is not null and program.status = 'active'
    and (trigger.enabled
         or jsonb_path_exists(program.exit, '$[*].left_segment')
         or jsonb_path_exists(program.goal, '$[*].left_segment'))
union
select segment.id
from lifecycle.steps as step
join lifecycle.programs as program
    on program.kind = step.program_kind and program.id = step.program_id
cross join lateral jsonb_path_query(step.config -> 'rule', '$.**.segment') as named
join segments.segments as segment
    on segment.organization_id = step.organization_id
    and (segment.external_id = named #>> '{}' or segment.id::text = named #>> '{}')
where step.type = 'branch' and step.enabled and program.status = 'active'
union
select segment.id
from lifecycle.programs as program
cross join lateral (
    select jsonb_path_query(program.exit, '$[*].rule.**.segment')
    union all
    select jsonb_path_query(program.goal, '$[*].rule.**.segment')
) as condition (named)
join segments.segments as segment
    on segment.organization_id = program.organization_id
    and (segment.external_id = named #>> '{}' or segment.id::text = named #>> '{}')
where program.status = 'active'
union
select segment.id
from crm.organizations as organization
join segments.segments as segment
    on segment.organization_id = organization.id
    and (segment.external_id = organization.settings #>> '{newsletter,segment}'
         or segment.id::text = organization.settings #>> '{newsletter,segment}')
where organization.settings -> 'newsletter' ? 'template';
comment on view lifecycle.used_segments is
    'Segments that newsletters, or triggers, branches, exits or goals of active programs name; always evaluated';
comment on column lifecycle.used_segments.segment_id is 'Segment';
