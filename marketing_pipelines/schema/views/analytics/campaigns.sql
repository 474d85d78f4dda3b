create or replace view analytics.campaigns as
select id, organization_id, external_id, name, status, started_at, completed_at
from campaigns.campaigns;
comment on view analytics.campaigns is 'Names, status and instants of campaigns, to join';
comment on column analytics.campaigns.organization_id is 'Organization (tenant)';
comment on column analytics.campaigns.status is
    'draft, scheduled, active, paused, completed, cancelled or imported';
comment on column analytics.campaigns.started_at is 'When it was activated';
comment on column analytics.campaigns.completed_at is 'When its last contact finished';
