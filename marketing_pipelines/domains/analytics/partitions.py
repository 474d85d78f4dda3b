"""The partitioned assets of this domain: their grains, clocks, and who reads whom."""

from marketing_pipelines.freshness.partitions import PartitionedAsset

CONTACT_ACTIVITY = PartitionedAsset("analytics/contact_activity", "hour", cron="0 * * * *")
HOURLY_EVENTS = PartitionedAsset(
    "analytics/hourly_events",
    "hour",
    cron="0 * * * *",
    reads=(CONTACT_ACTIVITY,),
    runs_with=CONTACT_ACTIVITY,
)
EVENT_AGGREGATES = PartitionedAsset(
    "analytics/event_aggregates",
    "day",
    cron="0 * * * *",
    reads=(CONTACT_ACTIVITY, HOURLY_EVENTS),
    running=True,
)
CAMPAIGN_DAILY_STATS = PartitionedAsset(
    "analytics/campaign_daily_stats", "day", cron="0 2 * * *", reads=(CONTACT_ACTIVITY,)
)
MONTHLY_USAGE = PartitionedAsset(
    "analytics/monthly_usage", "month", cron="0 3 1 * *", reads=(CONTACT_ACTIVITY, EVENT_AGGREGATES)
)
