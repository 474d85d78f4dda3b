-- The streams of a channel with queued messages, each with its first message. A stream is the
-- messages of one lane (organization, sending domain, kind), program and priority, in the order in
-- which the index has them, so that each costs one look however many messages it has. A stream of a
-- paused program is not listed.
with recursive streams as (
    (
        select organization_id, coalesce(domain_id, 0) as domain_id, kind,
               coalesce(program_kind, '') as program_kind, coalesce(program_id, 0) as program_id,
               -priority as rank, due_at, id as first_id
        from delivery.messages
        where state = 'queued' and channel = :channel
        order by organization_id, coalesce(domain_id, 0), kind, coalesce(program_kind, ''),
                 coalesce(program_id, 0), -priority, due_at, id
        limit 1
    )
    union all
    select following.*
    from streams
    cross join lateral (
        select message.organization_id, coalesce(message.domain_id, 0) as domain_id, message.kind,
               coalesce(message.program_kind, '') as program_kind,
               coalesce(message.program_id, 0) as program_id, -message.priority as rank,
               message.due_at, message.id as first_id
        from delivery.messages as message
        where message.state = 'queued' and message.channel = :channel
            and (message.organization_id, coalesce(message.domain_id, 0), message.kind,
                 coalesce(message.program_kind, ''), coalesce(message.program_id, 0),
                 -message.priority)
                > (streams.organization_id, streams.domain_id, streams.kind, streams.program_kind,
                   streams.program_id, streams.rank)
        order by message.organization_id, coalesce(message.domain_id, 0), message.kind,
                 coalesce(message.program_kind, ''), coalesce(message.program_id, 0),
                 -message.priority, message.due_at, message.id
        limit 1
    ) as following
)
select streams.*, organization.external_id as organization,
       cast(organization.settings as text) as settings, organization.timezone, lane.room,
       lane.opens_at, server.id as server_id
from streams
join crm.organizations as organization on organization.id = streams.organization_id
left join lifecycle.programs as program
    on program.kind = streams.program_kind and program.id = streams.program_id
-- The mail server of the domain, where it has one of its own.
left join delivery.sending_domains as domain
    on :channel = 'email' and domain.id = coalesce(
        nullif(streams.domain_id, 0), delivery.default_domain(streams.organization_id)
    )
left join integrations.connections as server
    on server.organization_id = streams.organization_id and server.provider = 'smtp'
    and server.external_id = domain.domain
cross join lateral delivery.lane_room(
    streams.organization_id, :channel, nullif(streams.domain_id, 0), streams.kind,
    organization.settings, :now, :today, :tomorrow
) as lane
where program.status is null
    or program.status <> all (cast(:paused as text[]))
