-- Contacts whose event has not happened wait until their timeout, or until just after the event if
-- it is known already: passes of later ticks may have read its arrival before this one brought the
-- contact here, and events of a type that no step awaited yet have no arrivals.
update batch
set next_step_at = least(
        batch.arrived_at + make_interval(secs => step.timeout_seconds),
        (
            select min(activity.occurred_at) + interval '1 microsecond'
            from analytics.contact_activity as activity
            where activity.contact_id = batch.contact_id
                and activity.event_type = step.awaits
                and activity.occurred_at >= greatest(batch.arrived_at, :tick)
                and (step.source_ids is null
                     or activity.source_type = 'campaign'
                         and activity.source_id = any(step.source_ids))
        )
    ),
    awaits = step.awaits,
    has_moved = true
from planned_steps as step
where step.step_id = batch.step_id
    and step.type = 'wait_for' and is_due(batch)
    and not step.is_blocked
    and batch.enrolment_id not in (select enrolment_id from outcomes)
