-- The latest messages, newest first, with their recipients and programs. Of a queued message the reason
-- says why it waits, and the first instant at which it may go is there where one is known.
select message.id, organization.external_id as organization, message.channel,
       coalesce(contact.external_id, users.external_id) as recipient, message.address,
       program.external_id as program, message.state, message.attempts,
       coalesce(message.claimed_at, message.queued_at) as since,
       case when message.state = 'unknown'
           then message.claimed_at + delivery.unknown_span(organization.settings)
           else waiting.until
       end as waits_until,
       coalesce(waiting.reason, message.reason) as reason
from delivery.messages as message
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact on contact.id = message.contact_id
left join crm.users as users on users.id = message.user_id
left join lifecycle.programs as program
    on program.kind = message.program_kind and program.id = message.program_id
left join jsonb_to_recordset(cast(:channels as jsonb)) as served (
        channel text, line text, problem text
    )
    on served.channel = message.channel
left join delivery.lines as line on line.name = served.line
left join delivery.sending_domains as domain
    on message.channel = 'email'
    and domain.id = coalesce(message.domain_id, delivery.default_domain(organization.id))
left join lateral (
    select cause.reason, cause.until
    from delivery.lane_room(
        organization.id, message.channel, message.domain_id, message.kind, organization.settings,
        :now, :today, :tomorrow
    ) as lane
    cross join lateral (
        values
            (1, 'its ' || message.program_kind || ' is ' || program.status, null,
             program.status = any(cast(:paused as text[]))),
            (2, served.problem, null, true),
            (3, 'the breaker of ' || line.name || ' is open', line.open_until,
             line.open_until > :now),
            (4, 'domain ' || domain.domain || ' is paused', domain.paused_until,
             domain.paused_until > :now),
            (5, 'warmup', lane.opens_at, lane.room = 0),
            (6, coalesce(message.reason, 'due later'), message.due_at, message.due_at > :now)
    ) as cause (place, reason, until, holds)
    where message.state = 'queued' and cause.holds and cause.reason is not null
    order by cause.place
    limit 1
) as waiting on true
where (cast(:state as text) is null or message.state = :state)
    and (cast(:channel as text) is null or message.channel = :channel)
    and (cast(:organization as bigint) is null or message.organization_id = :organization)
order by message.id desc
limit :limit
