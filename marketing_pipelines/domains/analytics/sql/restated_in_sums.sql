-- Restatements of an organization that sums hold which cover a day.
select coalesce(sum(cast(key ->> 'restatements' as bigint)), 0)
from analytics.restatements
where asset = 'analytics/campaign_daily_stats'
and organization_id = :organization
and key ? 'restatements'
and :day between split_part(partition, '...', 1)
and coalesce(nullif(split_part(partition, '...', 2), ''), partition)
