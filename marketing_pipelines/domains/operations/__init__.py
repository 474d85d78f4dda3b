"""Operation of the other domains: runs for stale partitions, alerts for failures, health."""
