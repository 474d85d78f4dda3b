create or replace view analytics.opportunities as
select id, organization_id, external_id, contact_id, stage, travel_date, score, deleted, created_at
from crm.opportunities;
comment on view analytics.opportunities is 'Opportunities with stage, day and base score, to join';
comment on column analytics.opportunities.organization_id is 'Organization (tenant)';
