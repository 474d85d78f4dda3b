-- The organizations with segments that something touched or, by time, all of them; those with
-- segments that fail come last, so that others do not wait for them.
select organization.id, organization.external_id
from crm.organizations as organization
join lateral (
    select bool_or(state.attempted_version is distinct from segment.version) as changed,
           bool_or(state.attempted_version is not null and state.evaluated_at is null) as failing
    from segments.segments as segment
    left join segments.evaluations as state on state.segment_id = segment.id
    where segment.organization_id = organization.id
) as its on its.failing is not null
where cast(:by_time as boolean) or its.changed or exists (
    select from segments.touched_contacts as touched
    where touched.organization_id = organization.id
)
order by its.failing, organization.id
