-- Judges the next messages of a channel and claims those that may go, in one statement, so that a
-- message is judged and counted as claimed at once. The others end as suppressed or wait for the
-- instant at which a cap or quiet hours let them through. Returns every judged message.
with streams as materialized (
    select *
    from jsonb_to_recordset(cast(:streams as jsonb)) as stream (
        lane integer, organization_id bigint, domain_id bigint, kind text, program_kind text,
        program_id bigint, rank integer, room integer, timezone text, valid_seconds float,
        cap_day integer, cap_week integer, cap_month integer, quiet_hours text
    )
),
quiet as materialized (
    select *
    from jsonb_to_recordset(cast(:quiet as jsonb)) as quiet (
        hours text, zone text, until timestamptz
    )
),
due as (
    select message.id, message.contact_id, message.user_id, message.step_id, message.rotation,
           message.address, message.kind, message.program_kind, message.program_id,
           message.queued_at, message.due_at, message.expires_at, message.organization_id, message.category_id,
           streams.lane, streams.rank, streams.timezone, streams.valid_seconds, streams.cap_day,
           streams.cap_week, streams.cap_month, streams.quiet_hours,
           row_number() over (
               partition by streams.lane order by streams.rank, message.due_at, message.id
           ) as place,
           streams.room
    from streams
    cross join lateral (
        select *
        from delivery.messages as waiting
        where waiting.state = 'queued' and waiting.channel = :channel
            and waiting.organization_id = streams.organization_id
            and coalesce(waiting.domain_id, 0) = streams.domain_id
            and waiting.kind = streams.kind
            and coalesce(waiting.program_kind, '') = streams.program_kind
            and coalesce(waiting.program_id, 0) = streams.program_id
            and -waiting.priority = streams.rank
            and waiting.due_at <= :now
        order by waiting.due_at, waiting.id
        limit least(:size, streams.room)
    ) as message
),
-- Lanes take turns: the first message of each, then the second of each; transactional ones first.
chosen as materialized (
    select due.*,
           row_number() over (order by kind = 'marketing', place, lane) as turn
    from due
    where room is null or place <= room
    order by kind = 'marketing', place, lane
    limit :size
),
addressed as materialized (
    select chosen.*, contact.timezone as contact_zone,
           delivery.address_of('email', contact.email) as mail_address, present.given,
           delivery.address_of(:channel, present.given) as present_address,
           chosen.user_id is not null and users.notify_by_mail is false as is_off
    from chosen
    left join crm.contacts as contact
        on contact.id = chosen.contact_id and contact.organization_id = chosen.organization_id
    left join crm.users as users
        on users.id = chosen.user_id and users.organization_id = chosen.organization_id
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
placed as materialized (
    select addressed.*,
           row_number() over (
               partition by step_id, rotation, present_address
               order by address is distinct from present_address, contact_id
           ) as place_at_address
    from addressed
),
-- The message of the step and rotation that has the address already. It gives the address back if
-- it did not go there and its contact has another one by now.
holders as materialized (
    select placed.id, holder.id as holder_id,
           holder.state in ('queued', 'suppressed')
               and holder.address is distinct from delivery.address_of(
                   :channel, delivery.address_given(
                       :channel, contact.email, contact.phone, contact.attributes
                   )
               ) as gives_way
    from placed
    join delivery.messages as holder
        on holder.step_id = placed.step_id and holder.rotation = placed.rotation
        and holder.address = placed.present_address and holder.id <> placed.id
    left join crm.contacts as contact on contact.id = holder.contact_id
    where placed.address is distinct from placed.present_address
),
given_back as (
    update delivery.messages as message
    set address = null
    from holders
    where message.id = holders.holder_id and holders.gives_way
        and message.id not in (select placed.id from placed)
        and message.state in ('queued', 'suppressed')
),
judged as materialized (
    select placed.*,
           coalesce(
               case
                   when placed.program_kind is not null and program.status is null
                       then 'its ' || placed.program_kind || ' was deleted'
                   when program.status = 'cancelled'
                       then 'its ' || placed.program_kind || ' was cancelled'
                   when coalesce(
                       placed.expires_at,
                       placed.queued_at + make_interval(secs => nullif(valid_seconds, 0))
                   ) <= :now then 'expired'
                   when placed.is_off then 'notify_by_mail is off'
               end,
               suppression.reason,
               consent.reason,
               case
                   when :channel = 'webhook' then null
                   when placed.present_address is null
                       and placed.given ~ '[^[:space:]]' then 'invalid_number'
                   when placed.present_address is null then 'no_address'
                   when placed.step_id is not null
                       and placed.address is distinct from placed.present_address
                       and (placed.place_at_address > 1 or not holders.gives_way)
                       then 'same_address'
               end
           ) as problem,
           coalesce(holders.gives_way, false) as waits_for_address,
           quiet.until as quiet_until
    from placed
    left join holders using (id)
    left join lifecycle.programs as program
        on program.kind = placed.program_kind and program.id = placed.program_id
    left join lateral delivery.suppression_for(
        placed.organization_id, placed.contact_id, :channel, placed.present_address, placed.kind,
        :now
    ) as suppression on true
    left join lateral delivery.consent_for(
        placed.organization_id, placed.contact_id, placed.category_id, placed.mail_address
    ) as consent on placed.kind = 'marketing' and :channel <> 'webhook'
    left join quiet
        on placed.kind = 'marketing' and :channel <> 'webhook'
        and quiet.hours = placed.quiet_hours
        and quiet.zone = coalesce(
            (select zone.name from ops.zones as zone where zone.name = placed.contact_zone),
            (select zone.name from ops.zones as zone where zone.name = placed.timezone),
            :reporting_zone
        )
),
capped as materialized (
    select candidate.id, ends.at
    from (
        select id, contact_id, cap_day, cap_week, cap_month,
               row_number() over (partition by contact_id order by turn) as place
        from judged
        where problem is null and quiet_until is null and not waits_for_address
            and kind = 'marketing'
            and :channel <> 'webhook' and greatest(cap_day, cap_week, cap_month) > 0
    ) as candidate
    cross join lateral (
        select array(
            select earlier.claimed_at
            from delivery.messages as earlier
            where earlier.contact_id = candidate.contact_id and earlier.channel = :channel
                and earlier.claimed_at > cast(:now as timestamptz) - interval '30 days'
                and earlier.kind = 'marketing'
                and earlier.state in ('claimed', 'sending', 'sent', 'delivered', 'bounced', 'unknown')
        ) as claims
        -- Else each cap would count them anew.
        offset 0
    ) as counted
    cross join lateral (
        select greatest(
            delivery.cap_ends_at(counted.claims, candidate.place, cap_day, '24 hours', :now),
            delivery.cap_ends_at(counted.claims, candidate.place, cap_week, '7 days', :now),
            delivery.cap_ends_at(counted.claims, candidate.place, cap_month, '30 days', :now)
        ) as at
    ) as ends
    where ends.at is not null
),
verdicts as (
    select judged.id, judged.problem, judged.turn,
           case when :channel <> 'webhook' and not judged.waits_for_address
               then judged.present_address end as address,
           judged.waits_for_address,
           coalesce(judged.quiet_until, capped.at) as waits_until
    from judged
    left join capped using (id)
)
update delivery.messages as message
set state = case when problem is not null then 'suppressed'
        when not is_claimed then 'queued' else 'claimed' end,
    reason = coalesce(problem, message.reason),
    due_at = coalesce(case when problem is null then waits_until end, message.due_at),
    address = case when problem is null then verdicts.address else message.address end,
    claim = message.claim + is_claimed::integer,
    attempts = message.attempts + is_claimed::integer,
    claimed_at = case when is_claimed then cast(:now as timestamptz) else message.claimed_at end,
    leased_until = case when is_claimed then cast(:leased_until as timestamptz) end
from verdicts
cross join lateral (
    select problem is null and waits_until is null and not waits_for_address as is_claimed
) as claimed
where message.id = verdicts.id and message.state = 'queued'
returning message.*, verdicts.turn
