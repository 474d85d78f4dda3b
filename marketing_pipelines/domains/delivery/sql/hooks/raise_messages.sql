-- Raises messages to the highest state that their events show, never lowers one; returns the
-- numbers of messages whose sending had been unknown.
with shown as (
    select distinct on (event.message_id)
           event.message_id, target.state, event.reason,
           event.reading ->> 'bounce_type' as bounce,
           delivery.instant_of_event(event.occurred_at, message.queued_at, event.received_at) as occurred_at
    from delivery.message_events as event
    join delivery.messages as message on message.id = event.message_id
    cross join lateral (
        select case
                   when event.type in ('bounced', 'failed') then event.type
                   when event.type in ('delivered', 'opened', 'clicked') then 'delivered'
                   else 'sent'
               end as state
    ) as target
    where event.id = any(:ids) and not event.reading ? 'is_of_list'
    order by event.message_id, delivery.rank_of(target.state) desc, event.id
),
before as (
    select message.id, message.state
    from delivery.messages as message
    join shown on shown.message_id = message.id
),
raised as (
    update delivery.messages as message
    set state = shown.state,
        reason = case when shown.state in ('bounced', 'failed') then shown.reason end,
        bounce = case when shown.state = 'bounced' then shown.bounce end,
        sent_at = coalesce(message.sent_at, shown.occurred_at)
    from shown
    where message.id = shown.message_id
        and delivery.rank_of(shown.state) > delivery.rank_of(message.state)
        -- A failure before sending is an end of its own.
        and not (message.state = 'failed' and message.sent_at is null)
        -- An unknown outcome is final once its time is over; claims of former releases have no instant.
        and (message.state <> 'unknown' or coalesce(
            :now < message.claimed_at + delivery.unknown_span((
                select organization.settings from crm.organizations as organization
                where organization.id = message.organization_id
            )),
            true
        ))
    returning message.id
)
select raised.id
from raised
join before on before.id = raised.id and before.state = 'unknown'
