create or replace view analytics.monthly_usage as
select organization_id,
       date as month,
       substr(event_type, length('monthly:') + 1) as event_type,
       event_count,
       unique_contacts
from analytics.event_aggregates
where event_type like 'monthly:%';
comment on view analytics.monthly_usage is
    'Events per organization, type and month of the reporting zone';
comment on column analytics.monthly_usage.month is 'First day of the month';
comment on column analytics.monthly_usage.event_type is 'Event type as received';
comment on column analytics.monthly_usage.event_count is 'Events that month';
comment on column analytics.monthly_usage.unique_contacts is 'Distinct contacts that month';
