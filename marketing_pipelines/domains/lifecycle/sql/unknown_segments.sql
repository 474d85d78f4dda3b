-- Segments that branches of steps name and that do not exist.
select step.id as step_id, min(named #>> '{}') as segment
from lifecycle.steps as step
cross join lateral jsonb_path_query(step.config -> 'rule', '$.**.segment') as named
where step.id = any(cast(:steps as bigint[]))
    and not exists (
        select from segments.segments as segment
        where segment.organization_id = step.organization_id
            and (segment.external_id = named #>> '{}' or segment.id::text = named #>> '{}')
    )
group by step.id
