-- The first due instant of the queued messages that go over a channel's server, which mails of a
-- domain with a server of its own do not; null: none is queued. Each group of messages in the order of
-- the index costs one look, however many messages it has.
create or replace function delivery.waiting_since(channel text) returns timestamptz
language sql stable parallel safe as $$
    with recursive streams as (
        (
            select organization_id, coalesce(domain_id, 0) as domain_id, kind,
                   coalesce(program_kind, '') as program_kind,
                   coalesce(program_id, 0) as program_id, -priority as rank, due_at
            from delivery.messages as message
            where state = 'queued' and message.channel = waiting_since.channel
            order by organization_id, coalesce(domain_id, 0), kind, coalesce(program_kind, ''),
                     coalesce(program_id, 0), -priority, due_at
            limit 1
        )
        union all
        select following.*
        from streams
        cross join lateral (
            select message.organization_id, coalesce(message.domain_id, 0), message.kind,
                   coalesce(message.program_kind, ''), coalesce(message.program_id, 0),
                   -message.priority, message.due_at
            from delivery.messages as message
            where message.state = 'queued' and message.channel = waiting_since.channel
                and (message.organization_id, coalesce(message.domain_id, 0), message.kind,
                     coalesce(message.program_kind, ''), coalesce(message.program_id, 0),
                     -message.priority)
                    > (streams.organization_id, streams.domain_id, streams.kind,
                       streams.program_kind, streams.program_id, streams.rank)
            order by message.organization_id, coalesce(message.domain_id, 0), message.kind,
                     coalesce(message.program_kind, ''), coalesce(message.program_id, 0),
                     -message.priority, message.due_at
            limit 1
        ) as following
    )
    select min(streams.due_at)
    from streams
    where waiting_since.channel <> 'email'
        or delivery.own_server(streams.organization_id, nullif(streams.domain_id, 0)) is null
$$;
