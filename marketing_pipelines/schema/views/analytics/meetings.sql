create or replace view analytics.meetings as
select id, organization_id, external_id, owner_id, deal_id, status, starts_at, ends_at, created_at
from crm.meetings;
comment on view analytics.meetings is 'Meetings with status and instants, to join';
comment on column analytics.meetings.organization_id is 'Organization (tenant)';
