-- A segment by its external id or else its number, and when it was first evaluated.
select segment.id, state.first_evaluated_at
from segments.segments as segment
left join segments.evaluations as state on state.segment_id = segment.id
where segment.organization_id = :organization_id
    and (segment.external_id = :name or segment.id::text = :name)
order by segment.external_id <> :name
limit 1
