-- True if a partition of the assets near the span is marked.
select exists (
    select from analytics.stale_partitions
    where asset = any(cast(:assets as text[])) and partition between :first and :last
)
