-- Resets the triggers that missed an arrived event of their type: their next pass reads all events
-- again.
update lifecycle.triggers as trigger set evaluated_at = null
where type = 'event' and enabled and evaluated_at is not null
    and id <> all(cast(:seen as bigint[]))
    and exists (
        select from arrived
        where arrived.organization_id = trigger.organization_id
            and arrived.event_type = trigger.event_type
    )
