-- The new submissions of a reading that have a contact, for the bus.
select stored.organization_id, stored.contact_id,
       jsonb_build_object('form', cast(:form as text), 'submission', stored.id::text,
                          'at', stored.submitted_at) as payload,
       stored.position as place
from read_submissions as own
join forms.submissions as stored
    on stored.form_id = :form_id and stored.identity = own.identity
where own.submission_id is null and stored.contact_id is not null
