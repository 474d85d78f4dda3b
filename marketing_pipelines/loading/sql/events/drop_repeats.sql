-- DuckDB. Of events with the same id, the one that was received first (then: occurred first).
select *
from batch
qualify row_number() over (
    partition by organization_id, event_id
    order by received_at, occurred_at, event_type, contact_id, line
) = 1
order by line
