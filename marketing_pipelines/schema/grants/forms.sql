grant usage on schema forms to marketing_reader;
-- Answers may name anybody: analysts see submissions without them.
grant select on forms.forms, forms.readings to marketing_reader;
grant select (
    id, organization_id, form_id, position, copies, contact_id, submitted_at, first_seen_at,
    missing_since, reason
) on forms.submissions to marketing_reader;
revoke all on all functions in schema forms from public;
