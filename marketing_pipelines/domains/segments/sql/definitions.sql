-- Every segment of an organization with its rule as text, and the state of its evaluation; segments
-- that active programs use are evaluated always.
select segment.id, segment.external_id, segment.rule::text as rule_text, segment.version,
       case when segment.id in (select segment_id from lifecycle.used_segments) then 'always'
           else segment.evaluated end as evaluated,
       state.version as evaluated_version, state.evaluated_at,
       state.next_change_at, coalesce(state.members, 0) as members, state.attempted_version, state.attempted_at,
       state.held_version, state.confirmed_version
from segments.segments as segment
left join segments.evaluations as state on state.segment_id = segment.id
where segment.organization_id = :organization_id
order by segment.id
