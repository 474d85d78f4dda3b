create or replace view analytics.organizations as
select id, external_id, name, timezone from crm.organizations;
comment on view analytics.organizations is 'Names of organizations, to join';
