-- The number of members that the rule removes, without contacts that were removed by hand or by the
-- passing of time.
select count(*)
from changes
where not entered and not exists (
    select from segments.manual_members as manual
    where manual.segment_id = :id
        and manual.contact_id = changes.contact_id
        and manual.action = 'remove'
) and not exists (
    select from moved
    where moved.segment_id = :id and moved.contact_id = changes.contact_id
)
