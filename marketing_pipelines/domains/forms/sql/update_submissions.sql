-- Brings the stored submissions of a reading up to date; a column that the sheet has no more keeps its
-- last value. A row whose values are the same changes nothing but its place.
update forms.submissions as stored
set identity = own.identity,
    row_hash = own.row_hash,
    position = own.position,
    copies = own.copies,
    contact_id = own.contact_id,
    data = case when own.is_changed
        then (stored.data - cast(:columns as text[])) || own.data else stored.data end,
    submitted_at = case when own.is_changed
        then coalesce(own.submitted_at, stored.submitted_at) else stored.submitted_at end,
    missing_since = null,
    reason = case
        when not own.is_changed then stored.reason
        when own.contact_id is null then own.problem
    end
from read_submissions as own
where own.submission_id = stored.id
    and (own.is_changed or stored.missing_since is not null
         or (stored.position, stored.copies) is distinct from (own.position, own.copies))
