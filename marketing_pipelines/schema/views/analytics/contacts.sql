create or replace view analytics.contacts as
select id, organization_id, external_id, email, lifecycle_stage, lead_grade, intent_score,
       owner_id, created_at, lead_score, intent_band, lead_status, lead_status_at, lifecycle_stage_at,
       manual_override, enriched_at, next_follow_up_at, tags
from crm.contacts;
comment on view analytics.contacts is 'Contacts with their stage and scores, to join';
comment on column analytics.contacts.organization_id is 'Organization (tenant)';
