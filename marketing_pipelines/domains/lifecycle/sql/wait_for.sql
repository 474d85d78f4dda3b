-- Contacts whose event has happened, and contacts whose time is out. The event that enrolled a
-- contact does not count.
insert into outcomes
select batch.enrolment_id, batch.step_id,
       case when event.event_id is null then 'no' else 'yes' end,
       case when event.event_id is null then 'time is out' else 'event ' || event.event_id end
from batch
join planned_steps as step using (step_id)
cross join lateral (
    select batch.arrived_at + make_interval(secs => step.timeout_seconds) as ends_at
) as waiting
left join lateral (
    select activity.event_id
    from analytics.contact_activity as activity
    where activity.contact_id = batch.contact_id
        and activity.event_type = step.awaits
        and activity.occurred_at >= batch.arrived_at
        and activity.occurred_at < least(waiting.ends_at, :tick)
        and activity.event_id is distinct from batch.let_in_by
        and (step.source_ids is null
             or activity.source_type = 'campaign' and activity.source_id = any(step.source_ids))
    order by activity.occurred_at, activity.event_id
    limit 1
) as event on true
where step.type = :type and is_due(batch)
    and not step.is_blocked
    and (event.event_id is not null or waiting.ends_at <= :tick)
