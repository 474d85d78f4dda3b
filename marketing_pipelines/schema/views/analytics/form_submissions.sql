create or replace view analytics.form_submissions as
select submission.id, submission.organization_id, form.external_id as form, form.name as form_name,
       submission.contact_id, submission.submitted_at, submission.first_seen_at,
       submission.missing_since, submission.copies, submission.reason
from forms.submissions as submission
join forms.forms as form on form.id = submission.form_id;
comment on view analytics.form_submissions is 'Submissions of forms without their answers, to join';
comment on column analytics.form_submissions.organization_id is 'Organization (tenant)';
comment on column analytics.form_submissions.form is 'External id of the form';
comment on column analytics.form_submissions.form_name is 'Display name of the form';
