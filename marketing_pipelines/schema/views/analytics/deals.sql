create or replace view analytics.deals as
select id, organization_id, external_id, contact_id, company_id, owner_id, pipeline, stage, status,
       amount, currency, expected_close_on, closed_at, stage_changed_at, tags, created_at
from crm.deals;
comment on view analytics.deals is 'Deals with stage, status, amounts and instants, to join';
comment on column analytics.deals.organization_id is 'Organization (tenant)';
