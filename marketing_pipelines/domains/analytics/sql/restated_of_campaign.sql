-- The replaced numbers of one campaign and day, oldest first.
select restated_at, column_name, before, after, cause, run_id
from analytics.restatements
where asset = 'analytics/campaign_daily_stats'
and partition = :day
and organization_id = :organization
and key @> jsonb_build_object('campaign_id', cast(:campaign as bigint))
order by id
