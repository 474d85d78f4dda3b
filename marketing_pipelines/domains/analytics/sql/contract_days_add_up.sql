-- Organizations, types and months whose days do not add up to the month.
with months as (
    select month, cast(month + interval '1 month' as date) as next_month
    from unnest(cast(:months as date[])) as month
),
days as (
    select organization_id, event_type, month, sum(event_count) as in_days
    from months
    join analytics.event_aggregates on date >= month and date < next_month
    where event_type not like 'monthly:%'
    group by organization_id, event_type, month
),
counted as (
    select organization_id, substr(event_type, 9) as event_type, month, event_count as in_month
    from months
    join analytics.event_aggregates on date = month
    where event_type like 'monthly:%'
)
select organization_id, event_type, month,
       coalesce(in_days, 0) as in_days, coalesce(in_month, 0) as in_month
from days
full join counted using (organization_id, event_type, month)
where coalesce(in_days, 0) <> coalesce(in_month, 0)
limit 1
