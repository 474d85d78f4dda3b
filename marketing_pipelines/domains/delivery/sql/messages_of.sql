-- The latest messages of some contacts of an organization, newest first, with the events that were
-- reported about each.
with found as (
    select id from delivery.messages where contact_id = any(:contacts) and claimed_at is not null
    union
    select id
    from delivery.messages
    where contact_id = any(:contacts) and step_id is null and claimed_at is null
    union
    -- No index by contact holds messages of steps that were never claimed: the key of steps does.
    select message.id
    from lifecycle.steps as step
    join delivery.messages as message
        on message.step_id = step.id and message.contact_id = any(:contacts)
    where step.organization_id = :organization
    order by id desc
    limit :limit
)
select message.id, message.channel, message.kind, message.state, message.reason, message.attempts,
    message.queued_at, message.due_at, message.sent_at, message.address,
    contact.external_id as contact, program.kind as program_kind, program.external_id as program,
    step.external_id as step, content.content ->> 'subject' as subject,
    coalesce(events.reported, '{}') as reported
from found
join delivery.messages as message on message.id = found.id
join crm.contacts as contact on contact.id = message.contact_id
left join delivery.contents as content on content.id = message.content_id
left join lifecycle.steps as step on step.id = message.step_id
left join lifecycle.programs as program
    on program.kind = message.program_kind and program.id = message.program_id
left join lateral (
    select array_agg(distinct event.type) as reported
    from delivery.message_events as event
    where event.message_id = message.id and event.type not in ('noted', 'unread')
) as events on true
order by message.id desc
