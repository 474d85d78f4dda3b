-- Makes deliveries of the messages of the channel `webhook` that wait, which former releases wrote and
-- nothing sends any more; those of a program that is cancelled end. Returns the endpoints.
with taken as materialized (
    select message.id, enrolment.id as enrolment_id, message.step_id, message.contact_id,
           endpoint.id as endpoint_id, program.status, message.queued_at,
           nullif(content.content -> 'body', 'null') as body
    from delivery.messages as message
    join lifecycle.programs as program
        on program.kind = message.program_kind and program.id = message.program_id
        and program.status in ('active', 'completed', 'cancelled')
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = message.program_kind
        and enrolment.program_id = message.program_id
        and enrolment.contact_id = message.contact_id
        and enrolment.rotation = message.rotation
    join delivery.contents as content on content.id = message.content_id
    join lateral (
        select own.id
        from webhooks.endpoints as own
        where own.organization_id = message.organization_id
            and own.url = content.content ->> 'url'
        order by own.state = 'disabled', own.id
        limit 1
    ) as endpoint on true
    where message.channel = 'webhook' and message.program_kind = :kind
        and (message.state = 'queued'
             or message.state = 'claimed' and message.leased_until < :tick)
    order by message.id
    limit :size
    for update of message skip locked
),
written as (
    insert into webhooks.deliveries (endpoint_id, event_id, type, contact_id, data, fields, state,
                                     published_at, due_at)
    select taken.endpoint_id, format('step:%s:%s', taken.enrolment_id, taken.step_id), :event,
           taken.contact_id, event.data, event.fields,
           case when event.fields is null then 'waiting' else 'draft' end, :tick, :tick
    from taken
    join crm.contacts as contact on contact.id = taken.contact_id
    cross join lateral lifecycle.step_event(taken.step_id, contact, taken.body) as event
    where taken.status <> 'cancelled'
    order by taken.id
    on conflict (endpoint_id, event_id) do nothing
),
unmarked as (
    delete from delivery.handovers where message_id in (select id from taken)
),
ended as (
    update delivery.messages as message
    set state = 'suppressed', leased_until = null,
        reason = case when taken.status = 'cancelled' then 'cancelled'
            else 'sent as a webhook delivery' end
    from taken
    where message.id = taken.id
)
select endpoint_id from taken
