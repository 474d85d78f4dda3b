-- Forgets what was touched in organizations without segments: a first evaluation looks at everybody.
delete from segments.touched_contacts as touched
where not exists (
    select from segments.segments as segment
    where segment.organization_id = touched.organization_id
)
