-- The largest segments, for the run's page.
select organization.external_id, coalesce(segment.name, segment.external_id), state.version,
       state.members, to_char(state.evaluated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
from segments.evaluations as state
join segments.segments as segment on segment.id = state.segment_id
join crm.organizations as organization on organization.id = segment.organization_id
order by state.members desc, segment.id
limit 10
