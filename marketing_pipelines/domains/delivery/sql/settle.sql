-- Writes the ends of the messages of one batch, and the activity events of the ones handed over;
-- returns the ids of messages that were still the worker's.
with ends as materialized (
    select *
    from jsonb_to_recordset(cast(:ends as jsonb)) as ends (
        id bigint, claim bigint, state text, reason text, attempts integer, due_at timestamptz,
        sent_at timestamptz, provider_message_id text, refused_at timestamptz, refusals integer,
        bounce text
    )
),
-- Locked, as claims do it: messages first, then days, each in order. The state is judged afterwards,
-- so that they are found by their key and not among all that are claimed.
locked as materialized (
    select message.id, message.state, message.domain_id, message.reserved_on
    from delivery.messages as message
    join ends on ends.id = message.id and ends.claim = message.claim
    order by message.id
    for update of message
),
held as materialized (
    select id, domain_id, reserved_on
    from locked
    where state = any(:states)
),
-- The places of warm-up that messages which were not handed over give back.
given_back as materialized (
    select held.domain_id, held.reserved_on, count(*) as places
    from held
    join ends on ends.id = held.id
    where held.reserved_on is not null and ends.sent_at is null and ends.state <> 'unknown'
    group by held.domain_id, held.reserved_on
),
days as materialized (
    select reservation.domain_id, reservation.day, given_back.places
    from delivery.warmup_reservations as reservation
    join given_back
        on given_back.domain_id = reservation.domain_id
        and given_back.reserved_on = reservation.day
    order by reservation.domain_id, reservation.day
    for update of reservation
),
places as (
    update delivery.warmup_reservations as reservation
    set reserved = reservation.reserved - days.places
    from days
    where reservation.domain_id = days.domain_id and reservation.day = days.day
),
settled as (
    update delivery.messages as message
    set state = ends.state,
        reason = ends.reason,
        attempts = ends.attempts,
        due_at = ends.due_at,
        leased_until = null,
        sent_at = ends.sent_at,
        provider_message_id = ends.provider_message_id,
        refused_at = ends.refused_at,
        refusals = ends.refusals,
        bounce = ends.bounce,
        reserved_on = case
            when ends.sent_at is not null or ends.state = 'unknown' then message.reserved_on
        end
    from ends
    join held on held.id = ends.id
    where message.id = ends.id
    returning message.id, message.organization_id, message.contact_id, message.channel,
        message.program_kind, message.program_id, message.step_id, message.sent_at,
        message.reason, message.bounce
),
unmarked as (
    delete from delivery.handovers as mark
    using held
    where mark.message_id = held.id
),
handed_over as (
    select settled.*, kind.event_type,
           jsonb_strip_nulls(jsonb_build_object(
               'message_id', settled.id,
               'channel', settled.channel,
               'step', step.external_id,
               'bounce_type', case kind.event_type when 'bounced' then settled.bounce end,
               'reason', case kind.event_type when 'bounced' then settled.reason end
           )) as properties
    from settled
    cross join lateral (
        values ('sent', true), ('bounced', settled.bounce is not null)
    ) as kind (event_type, is_written)
    left join lifecycle.steps as step on step.id = settled.step_id
    where settled.sent_at is not null and settled.channel <> 'webhook' and kind.is_written
),
events as (
    insert into analytics.contact_activity (
        organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
        received_at, properties
    )
    select organization_id, 'message:' || id || ':' || event_type, contact_id, event_type,
           case program_kind when 'campaign' then 'campaign' end,
           case program_kind when 'campaign' then program_id end,
           sent_at, sent_at, properties
    from handed_over
    where contact_id is not null
        -- A file may have brought an event of this id, and a message sent again has its first ones.
        and not exists (
            select from analytics.event_keys as known
            where known.organization_id = handed_over.organization_id
                and known.event_id = 'message:' || handed_over.id || ':' || handed_over.event_type
        )
    order by id, event_type desc
)
select id from settled
