-- A segment and how far it is evaluated.
select segment.external_id, state.evaluated_at, state.first_evaluated_at
from segments.segments as segment
left join segments.evaluations as state on state.segment_id = segment.id
where segment.id = :id
