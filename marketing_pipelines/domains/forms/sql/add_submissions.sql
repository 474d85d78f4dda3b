-- Stores the new submissions of a reading.
insert into forms.submissions (
    organization_id, form_id, identity, row_hash, position, copies, contact_id, data, submitted_at,
    first_seen_at, reason
)
select :organization_id, :form_id, identity, row_hash, position, copies, contact_id, data,
       coalesce(submitted_at, :tick), :tick, case when contact_id is null then problem end
from read_submissions
where submission_id is null
order by position
