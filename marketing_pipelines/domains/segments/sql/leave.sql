-- Ends the memberships of contacts that no longer belong.
update segments.memberships as membership
set left_at = :now
from changes
where not changes.entered
    and membership.segment_id = :id
    and membership.contact_id = changes.contact_id
    and membership.left_at is null
