-- Has the triggers that wanted an event that arrived, and did not see it, read all of them anew.
update lifecycle.triggers as trigger set evaluated_at = null
where type = 'event' and enabled and evaluated_at is not null
    and id <> all(cast(:seen as bigint[]))
    and exists (
        select from arrived
        where arrived.organization_id = trigger.organization_id
            and arrived.event_type = trigger.event_type
    )
