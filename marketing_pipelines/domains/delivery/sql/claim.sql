-- Judges the next messages of a channel and claims those that may go, in one statement, so that a
-- message is judged and counted as claimed at once. The others end as suppressed or wait for the
-- instant at which a cap or quiet hours let them through. Returns every judged message; of one that
-- may go, `turn` is its place in the order of sending.
with streams as materialized (
    -- The rules of a stream are looked up once for all its messages.
    select stream.*,
           case
               when stream.program_kind <> '' and program.status is null
                   then 'its ' || stream.program_kind || ' was deleted'
               when program.status = 'cancelled'
                   then 'its ' || stream.program_kind || ' was cancelled'
           end as problem,
           make_interval(secs => nullif(stream.valid_seconds, 0)) as valid_for,
           coalesce(zone.name, :reporting_zone) as zone
    from jsonb_to_recordset(cast(:streams as jsonb)) as stream (
        number integer, lane integer, organization_id bigint, domain_id bigint, kind text,
        program_kind text, program_id bigint, rank integer, first_due_at timestamptz,
        first_id bigint, room integer, timezone text, valid_seconds float, cap_day integer,
        cap_week integer, cap_month integer, quiet_hours text
    )
    left join lifecycle.programs as program
        on program.kind = stream.program_kind and program.id = stream.program_id
    left join ops.zones as zone on zone.name = stream.timezone
),
quiet as materialized (
    select *
    from jsonb_to_recordset(cast(:quiet as jsonb)) as quiet (
        hours text, zone text, until timestamptz
    )
),
due as (
    select message.*, streams.number, streams.lane, streams.kind, streams.room,
           row_number() over (
               partition by streams.lane order by streams.rank, message.due_at, message.id
           ) as place,
           count(*) over (partition by streams.lane) as number_in_lane
    from streams
    cross join lateral (
        select waiting.id, waiting.due_at, waiting.contact_id, waiting.user_id, waiting.step_id,
               waiting.rotation, waiting.address, waiting.category_id, waiting.queued_at,
               waiting.expires_at
        from delivery.messages as waiting
        where waiting.state = 'queued' and waiting.channel = :channel
            and waiting.organization_id = streams.organization_id
            and coalesce(waiting.domain_id, 0) = streams.domain_id
            and waiting.kind = streams.kind
            and coalesce(waiting.program_kind, '') = streams.program_kind
            and coalesce(waiting.program_id, 0) = streams.program_id
            and -waiting.priority = streams.rank
            -- From its first message on: the index still has those claimed before, until a vacuum.
            and (waiting.due_at, waiting.id) >= (streams.first_due_at, streams.first_id)
            and waiting.due_at <= :now
        order by waiting.due_at, waiting.id
        limit least(:size, streams.room)
    ) as message
),
-- Lanes take turns: the first message of each, then the second of each; transactional ones first.
taken as (
    select due.*
    from due
    where room is null or place <= room
    order by kind = 'marketing', place, lane
    limit :size
),
-- After the first of each lane, those come whose lane is at its end within its share of the batch:
-- the others lose nothing by it, and a short lane does not wait for their whole batch.
chosen as (
    select taken.*,
           row_number() over (
               order by kind = 'marketing', place > 1,
                   number_in_lane > :size / (select count(distinct lane) from streams), place, lane
           ) as turn
    from taken
),
addressed as materialized (
    select chosen.id, chosen.turn, chosen.contact_id, chosen.step_id, chosen.rotation,
           chosen.address, chosen.category_id, streams.organization_id, streams.kind,
           streams.cap_day, streams.cap_week, streams.cap_month, streams.quiet_hours,
           coalesce(
               streams.problem,
               case
                   when coalesce(chosen.expires_at, chosen.queued_at + streams.valid_for) <= :now
                       then 'expired'
                   when users.notify_by_mail is false then 'notify_by_mail is off'
               end
           ) as problem,
           coalesce(
               (select zone.name from ops.zones as zone where zone.name = contact.timezone),
               streams.zone
           ) as zone,
           contact.email, present.given,
           delivery.address_of(:channel, present.given) as present_address
    from chosen
    join streams on streams.number = chosen.number
    left join crm.contacts as contact
        on contact.id = chosen.contact_id and contact.organization_id = streams.organization_id
    left join crm.users as users
        on users.id = chosen.user_id and users.organization_id = streams.organization_id
    cross join lateral (
        select case when chosen.user_id is null
            then delivery.address_given(
                :channel, contact.email, contact.phone, contact.attributes
            )
            when :channel = 'email' then users.email
        end as given
    ) as present
),
-- A message goes to the present address of its contact; where another message of the step and
-- rotation has that address, it does not go.
moved as materialized (
    select id, contact_id, step_id, rotation, present_address,
           row_number() over (
               partition by step_id, rotation, present_address order by contact_id
           ) as place_at_address
    from addressed
    where step_id is not null and address is distinct from present_address
),
-- The message of the step and rotation that has the address already. It gives the address back if
-- it did not go there and its contact has another one by now.
holders as materialized (
    select moved.id, moved.place_at_address, holder.id as holder_id,
           case when holder.id is not null then
               holder.state in ('queued', 'suppressed')
               and holder.address is distinct from delivery.address_of(
                   :channel, delivery.address_given(
                       :channel, contact.email, contact.phone, contact.attributes
                   )
               )
           end as gives_way
    from moved
    left join delivery.messages as holder
        on holder.step_id = moved.step_id and holder.rotation = moved.rotation
        and holder.address = moved.present_address and holder.id <> moved.id
    left join crm.contacts as contact on contact.id = holder.contact_id
),
given_back as (
    update delivery.messages as message
    set address = null
    from holders
    where message.id = holders.holder_id and holders.gives_way
        and message.id not in (select addressed.id from addressed)
        and message.state in ('queued', 'suppressed')
),
judged as (
    select found.*,
           kind = 'marketing'
               and greatest(cap_day, cap_week, cap_month) > 0
               and problem is null and quiet_until is null and not waits_for_address
               as may_be_capped
    from (
        select addressed.id, addressed.turn, addressed.contact_id, addressed.kind,
               addressed.present_address, cap_day, cap_week, cap_month,
               coalesce(
                   addressed.problem,
                   suppression.reason,
                   consent.reason,
                   case
                       when addressed.present_address is null and addressed.given ~ '[^[:space:]]'
                           then 'invalid_number'
                       when addressed.present_address is null then 'no_address'
                       when holders.place_at_address > 1 or not holders.gives_way
                           then 'same_address'
                   end
               ) as problem,
               holders.gives_way is true as waits_for_address,
               quiet.until as quiet_until
        from addressed
        left join holders using (id)
        left join lateral delivery.suppression_for(
            addressed.organization_id, addressed.contact_id, :channel, addressed.present_address,
            addressed.kind, :now
        ) as suppression on true
        left join lateral delivery.consent_for(
            addressed.organization_id, addressed.contact_id, addressed.category_id,
            delivery.address_of('email', addressed.email)
        ) as consent on addressed.kind = 'marketing'
        left join quiet
            on addressed.kind = 'marketing'
            and quiet.hours = addressed.quiet_hours and quiet.zone = addressed.zone
        -- Judged once: the reasons are used several times below.
        offset 0
    ) as found
),
counted as (
    -- Messages of the batch count for their contact in the order of sending.
    select judged.*,
           row_number() over (partition by contact_id, may_be_capped order by turn) as place,
           least(nullif(cap_day, 0), nullif(cap_week, 0), nullif(cap_month, 0)) as smallest_cap,
           case when may_be_capped then array(
               select earlier.claimed_at
               from delivery.messages as earlier
               where earlier.contact_id = judged.contact_id and earlier.channel = :channel
                   and earlier.claimed_at > cast(:now as timestamptz) - interval '30 days'
                   and earlier.kind = 'marketing'
                   and earlier.state in ('claimed', 'sent', 'delivered', 'bounced', 'unknown')
           ) end as claims
    from judged
    -- Else each cap would count them anew.
    offset 0
),
verdicts as (
    select id, turn, problem, address,
           coalesce(quiet_until, capped_until) as waits_until,
           case when quiet_until is not null then 'quiet_hours'
               when capped_until is not null then 'frequency_cap' end as waits_for,
           problem is null and not waits_for_address and quiet_until is null
               and capped_until is null as is_claimed
    from (
        select counted.*,
               case when not waits_for_address then present_address end as address,
               case when cardinality(claims) + place > smallest_cap then greatest(
                   delivery.cap_ends_at(claims, place, cap_day, '24 hours', :now),
                   delivery.cap_ends_at(claims, place, cap_week, '7 days', :now),
                   delivery.cap_ends_at(claims, place, cap_month, '30 days', :now)
               ) end as capped_until
        from counted
    ) as limited
)
update delivery.messages as message
set state = case when problem is not null then 'suppressed'
        when not is_claimed then 'queued' else 'claimed' end,
    reason = coalesce(
        problem, waits_for, case when message.reason <> all (array['quiet_hours', 'frequency_cap', 'warmup'])
            then message.reason end
    ),
    due_at = coalesce(case when problem is null then waits_until end, message.due_at),
    address = case when problem is null then verdicts.address else message.address end,
    claim = message.claim + is_claimed::integer,
    attempts = message.attempts + is_claimed::integer,
    claimed_at = case when is_claimed then cast(:now as timestamptz) else message.claimed_at end,
    leased_until = case when is_claimed then cast(:leased_until as timestamptz) end
from verdicts
where message.id = verdicts.id and message.state = 'queued'
returning message.id, message.organization_id, message.channel, message.kind, message.content_id,
    message.variables, message.queued_at, message.state, message.claim, message.attempts,
    message.due_at, message.reason, message.refused_at, message.refusals, message.is_bulk,
    verdicts.turn
