"""The partitioned asset of this domain."""

from marketing_pipelines.freshness.partitions import PartitionedAsset

DAILY_SIZES = PartitionedAsset("segments/daily_sizes", "day", cron="30 0 * * *")
