-- Submissions that have no contact with the reason, the latest first, of at most so many.
select organization.external_id as organization, form.external_id as form, form.name as form_name,
       submission.position, submission.submitted_at, submission.missing_since, submission.reason
from forms.submissions as submission
join forms.forms as form on form.id = submission.form_id
join crm.organizations as organization on organization.id = submission.organization_id
where submission.contact_id is null
    and (cast(:organization_id as bigint) is null or form.organization_id = :organization_id)
    and (cast(:form as text) is null or form.external_id = :form)
order by submission.id desc
limit :most
