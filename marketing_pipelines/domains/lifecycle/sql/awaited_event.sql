-- The event that a waiting contact waited for, where it has happened already; the event that let the
-- contact in is not awaited.
select activity.event_id, activity.occurred_at
from analytics.contact_activity as activity
where activity.contact_id = :contact
    and activity.event_type = :event
    and activity.occurred_at >= :since
    and activity.occurred_at < :until
    and activity.event_id is distinct from cast(:let_in_by as text)
    and (cast(:sources as bigint[]) is null
         or activity.source_type = 'campaign'
             and activity.source_id = any(cast(:sources as bigint[])))
order by activity.occurred_at, activity.event_id
limit 1
