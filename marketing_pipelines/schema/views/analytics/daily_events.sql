create or replace view analytics.daily_events as
select organization_id, event_type, date, event_count, unique_contacts
from analytics.event_aggregates
where event_type not like 'monthly:%';
comment on view analytics.daily_events is 'Events per organization, type and day of the reporting zone';
comment on column analytics.daily_events.event_type is 'Event type as received';
comment on column analytics.daily_events.date is 'Day in the reporting zone';
comment on column analytics.daily_events.event_count is 'Events that day';
comment on column analytics.daily_events.unique_contacts is
    'Distinct contacts that day; days do not add up to a month';
