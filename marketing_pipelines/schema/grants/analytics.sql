-- Analysts read every relation of this schema; `contact_attributes` is granted when it is made, and
-- by MARKETING_ANALYST_ATTRIBUTES from then on.
alter default privileges in schema analytics grant select on tables to marketing_reader;
grant usage on schema analytics to marketing_reader;
grant select on
    analytics.campaign_daily_rates,
    analytics.campaign_daily_stats,
    analytics.campaigns,
    analytics.contact_activity,
    analytics.contact_activity_default,
    analytics.contacts,
    analytics.daily_events,
    analytics.deals,
    analytics.event_aggregates,
    analytics.event_keys,
    analytics.finished_partitions,
    analytics.form_submissions,
    analytics.hourly_events,
    analytics.lake_hours,
    analytics.meetings,
    analytics.monthly_usage,
    analytics.opportunities,
    analytics.organizations,
    analytics.requested_marks,
    analytics.restatements,
    analytics.stale_partitions,
    analytics.tasks,
    analytics.users
to marketing_reader;
revoke all on all functions in schema analytics from public;
