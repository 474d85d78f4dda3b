-- Stages the contacts with an event whose type begins so in the span, for the segment.
insert into moved (segment_id, contact_id)
select distinct edge.segment_id, activity.contact_id
from unnest(
    cast(:segments as bigint[]), cast(:types as text[]),
    cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
) as edge (segment_id, event_type, start, stop)
cross join lateral (
    select activity.contact_id
    from analytics.contact_activity as activity
    where activity.organization_id = :organization_id
        and starts_with(activity.event_type, edge.event_type)
        and activity.occurred_at >= edge.start
        and activity.occurred_at < edge.stop
    -- Each edge by index: the planner cannot know how little lies between its ends.
    offset 0
) as activity
