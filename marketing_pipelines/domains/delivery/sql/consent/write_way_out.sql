-- Writes the way out into the activity of the contact, under the message's id or, where that is
-- taken, under one that also names what was left.
with keys as (
    select 'message:' || message.id || ':' || 'unsubscribed' as plain, message.*
    from delivery.messages as message
    where message.id = :message_id
),
free as (
    select keys.*, key.event_id
    from keys
    cross join lateral (
        select event_id
        from unnest(array[plain, plain || ':' || coalesce(cast(:category as text), 'all')]) with ordinality
            as one (event_id, place)
        where not exists (
            select from analytics.event_keys as held
            where held.organization_id = keys.organization_id and held.event_id = one.event_id
        )
        order by place
        limit 1
    ) as key
)
insert into analytics.contact_activity (
    organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
    received_at, properties
)
select free.organization_id, free.event_id, free.contact_id, 'unsubscribed',
       case free.program_kind when 'campaign' then 'campaign' end,
       case free.program_kind when 'campaign' then free.program_id end,
       :now, :now,
       jsonb_strip_nulls(jsonb_build_object(
           'message_id', free.id,
           'channel', free.channel,
           'step', step.external_id,
           'category', cast(:category as text)
       ))
from free
left join lifecycle.steps as step on step.id = free.step_id
