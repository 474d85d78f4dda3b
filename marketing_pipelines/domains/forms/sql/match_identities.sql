-- Finds the stored submissions of a reading, wherever they stand.
update read_submissions as own
set submission_id = stored.id, contact_id = stored.contact_id,
    is_changed = stored.row_hash <> own.row_hash,
    former = case when stored.row_hash <> own.row_hash then stored.data end
from forms.submissions as stored
where stored.form_id = :form_id and stored.identity = own.identity
