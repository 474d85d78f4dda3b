-- What analysts read, and the role that `marketing-pipelines query` reads it with.

create view analytics.daily_events as
select organization_id, event_type, date, event_count, unique_contacts
from analytics.event_aggregates
where event_type not like 'monthly:%';
comment on view analytics.daily_events is 'Events per organization, type and day of the reporting zone';
comment on column analytics.daily_events.organization_id is 'Organization (tenant)';
comment on column analytics.daily_events.event_type is 'Event type as received';
comment on column analytics.daily_events.date is 'Day in the reporting zone';
comment on column analytics.daily_events.event_count is 'Events that day';
comment on column analytics.daily_events.unique_contacts is
    'Distinct contacts that day; days do not add up to a month';

create view analytics.monthly_usage as
select organization_id,
       date as month,
       substr(event_type, length('monthly:') + 1) as event_type,
       event_count,
       unique_contacts
from analytics.event_aggregates
where event_type like 'monthly:%';
comment on view analytics.monthly_usage is
    'Events per organization, type and month of the reporting zone';
comment on column analytics.monthly_usage.organization_id is 'Organization (tenant)';
comment on column analytics.monthly_usage.month is 'First day of the month';
comment on column analytics.monthly_usage.event_type is 'Event type as received';
comment on column analytics.monthly_usage.event_count is 'Events that month';
comment on column analytics.monthly_usage.unique_contacts is 'Distinct contacts that month';

create view analytics.campaign_daily_rates as
select campaign_id,
       organization_id,
       date,
       sent,
       delivered,
       delivered::double precision / nullif(sent, 0) as delivery_rate,
       opened::double precision / reached as open_rate,
       (opened - machine_opened)::double precision / reached as human_open_rate,
       clicked::double precision / reached as click_rate,
       unique_opened::double precision / unique_reached as unique_open_rate,
       unique_clicked::double precision / unique_reached as unique_click_rate,
       bounced::double precision / nullif(sent, 0) as bounce_rate,
       complained::double precision / reached as complaint_rate,
       unsubscribed::double precision / reached as unsubscribe_rate
from analytics.campaign_daily_stats
cross join lateral (
    select nullif(case when delivered > 0 then delivered else sent end, 0) as reached,
           nullif(case when delivered > 0 then unique_delivered else unique_sent end, 0)
               as unique_reached
) as audience;
comment on view analytics.campaign_daily_rates is
    'Rates per campaign and day over delivered mail, over sent mail where no delivery is known; '
    'null where there is neither';
comment on column analytics.campaign_daily_rates.campaign_id is 'Campaign';
comment on column analytics.campaign_daily_rates.organization_id is 'Organization (tenant)';
comment on column analytics.campaign_daily_rates.date is 'Day in the reporting zone';
comment on column analytics.campaign_daily_rates.sent is 'Events of type sent';
comment on column analytics.campaign_daily_rates.delivered is 'Events of type delivered';
comment on column analytics.campaign_daily_rates.delivery_rate is 'Delivered per sent';
comment on column analytics.campaign_daily_rates.open_rate is 'Opens, machines included, per mail';
comment on column analytics.campaign_daily_rates.human_open_rate is
    'Opens that the provider does not attribute to a machine, per mail';
comment on column analytics.campaign_daily_rates.click_rate is 'Clicks per mail';
comment on column analytics.campaign_daily_rates.unique_open_rate is
    'Contacts that opened per contact reached';
comment on column analytics.campaign_daily_rates.unique_click_rate is
    'Contacts that clicked per contact reached';
comment on column analytics.campaign_daily_rates.bounce_rate is 'Bounces per sent mail';
comment on column analytics.campaign_daily_rates.complaint_rate is 'Complaints per mail';
comment on column analytics.campaign_daily_rates.unsubscribe_rate is 'Unsubscribes per mail';

create view analytics.organizations as
select id, external_id, name, timezone from crm.organizations;
comment on view analytics.organizations is 'Names of organizations, to join';
comment on column analytics.organizations.id is 'Organization number';
comment on column analytics.organizations.external_id is 'Id in the system the row comes from';
comment on column analytics.organizations.name is 'Display name';
comment on column analytics.organizations.timezone is 'IANA zone; null = the reporting zone';

create view analytics.contacts as
select id, organization_id, external_id, email, lifecycle_stage, lead_grade, intent_score,
       owner_id, created_at
from crm.contacts;
comment on view analytics.contacts is 'Contacts with what is known of their value, to join';
comment on column analytics.contacts.id is 'Contact number';
comment on column analytics.contacts.organization_id is 'Organization (tenant)';
comment on column analytics.contacts.external_id is 'Id in the system the row comes from';
comment on column analytics.contacts.email is 'E-mail address';
comment on column analytics.contacts.lifecycle_stage is 'lead, mql, sql, opportunity, customer';
comment on column analytics.contacts.lead_grade is 'A to F, from the lead score';
comment on column analytics.contacts.intent_score is 'Sum of what remains of the contact''s signals';
comment on column analytics.contacts.owner_id is 'User who looks after the contact';
comment on column analytics.contacts.created_at is 'When the row came to be';

create view analytics.campaigns as
select id, organization_id, external_id, name, status, started_at, completed_at
from campaigns.campaigns;
comment on view analytics.campaigns is 'Names and lives of campaigns, to join';
comment on column analytics.campaigns.id is 'Campaign number';
comment on column analytics.campaigns.organization_id is 'Organization (tenant)';
comment on column analytics.campaigns.external_id is 'Id in the system the row comes from';
comment on column analytics.campaigns.name is 'Display name';
comment on column analytics.campaigns.status is
    'draft, scheduled, active, paused, completed, cancelled or imported';
comment on column analytics.campaigns.started_at is 'When it was activated';
comment on column analytics.campaigns.completed_at is 'When its last contact finished';

do $$
begin
    if not exists (select from pg_roles where rolname = 'marketing_reader') then
        create role marketing_reader login;
    end if;
    execute format('revoke temporary on database %I from public', current_database());
end $$;
alter role marketing_reader set default_transaction_read_only = on;
alter role marketing_reader set statement_timeout = '5min';
revoke all on all functions in schema analytics, campaigns from public;
revoke all on schema public from public;
grant usage on schema analytics, ops to marketing_reader;
grant select on all tables in schema analytics to marketing_reader;
grant select on ops.job_sessions to marketing_reader;
alter default privileges in schema analytics grant select on tables to marketing_reader;
