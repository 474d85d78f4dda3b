-- The event that a waiting contact waited for, where it has happened already.
select activity.event_id, activity.occurred_at
from analytics.contact_activity as activity
where activity.contact_id = :contact
    and activity.event_type = :event
    and activity.occurred_at >= :since
    and activity.occurred_at < :until
    and (cast(:sources as bigint[]) is null
         or activity.source_type = 'campaign'
             and activity.source_id = any(cast(:sources as bigint[])))
order by activity.occurred_at, activity.event_id
limit 1
