-- True if a contact was touched in an organization with segments, or a rule is new or confirmed.
select exists (
    select from segments.touched_contacts as touched
    where exists (
        select from segments.segments as segment
        where segment.organization_id = touched.organization_id
    )
) or exists (
    select from segments.segments as segment
    left join segments.evaluations as state on state.segment_id = segment.id
    where state.attempted_version <> segment.version
        or state.attempted_version is null and (
            segment.evaluated = 'always'
            or segment.id in (select segment_id from lifecycle.used_segments)
        )
)
