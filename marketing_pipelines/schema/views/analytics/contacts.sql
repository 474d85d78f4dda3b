create or replace view analytics.contacts as
select id, organization_id, external_id, email, lifecycle_stage, lead_grade, intent_score,
       owner_id, created_at
from crm.contacts;
comment on view analytics.contacts is 'Contacts with their stage and scores, to join';
comment on column analytics.contacts.organization_id is 'Organization (tenant)';
