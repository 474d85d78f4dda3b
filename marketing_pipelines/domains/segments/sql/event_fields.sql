-- The types of events that an organization has received, with the properties that they have or have
-- had; the empty name stands for the type itself.
select event_type, array_agg(distinct field) as fields
from segments.event_fields
where organization_id = :organization_id
group by event_type
