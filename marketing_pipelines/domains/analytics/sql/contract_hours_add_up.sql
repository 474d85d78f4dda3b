-- Organizations, types and days whose hours do not add up to the day.
with days as (
    select date, starts_at, ends_at
    from unnest(
        cast(:dates as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
    ) as day (date, starts_at, ends_at)
),
hours as (
    select organization_id, event_type, date, sum(event_count) as in_hours
    from days
    join analytics.hourly_events on hour >= starts_at and hour < ends_at
    group by organization_id, event_type, date
),
counted as (
    select organization_id, event_type, date, event_count as in_day
    from analytics.event_aggregates
    join days using (date)
    where event_type not like 'monthly:%'
)
select organization_id, event_type, date,
       coalesce(in_hours, 0) as in_hours, coalesce(in_day, 0) as in_day
from hours
full join counted using (organization_id, event_type, date)
where coalesce(in_hours, 0) <> coalesce(in_day, 0)
limit 1
