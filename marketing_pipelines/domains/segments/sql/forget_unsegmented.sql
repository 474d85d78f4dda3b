-- Removes touched contacts of organizations without segments: a first evaluation covers all
-- contacts.
delete from segments.touched_contacts as touched
where not exists (
    select from segments.segments as segment
    where segment.organization_id = touched.organization_id
)
