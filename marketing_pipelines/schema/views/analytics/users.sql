create or replace view analytics.users as
select id, organization_id, external_id, name, role, active from crm.users;
comment on view analytics.users is 'Names and roles of users, to join';
comment on column analytics.users.organization_id is 'Organization (tenant)';
