-- Leaves submissions of erased persons as they are: empty, whatever their rows say now.
update read_submissions as own
set is_changed = false, former = null, fields = '{}', address = null, external_id = null
from forms.submissions as stored
where stored.id = own.submission_id
    and (
        stored.reason = 'erased'
        or exists (select from ops.erasures where contact_ids @> array[stored.contact_id])
    )
