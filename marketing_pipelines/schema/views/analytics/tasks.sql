create or replace view analytics.tasks as
select id, organization_id, external_id, contact_id, deal_id, owner_id as user_id, state, title,
       due_at, created_at, done_at, job
from crm.tasks;
comment on view analytics.tasks is 'Tasks of users, to join';
comment on column analytics.tasks.organization_id is 'Organization (tenant)';
comment on column analytics.tasks.user_id is 'Assigned user; null = unassigned';
