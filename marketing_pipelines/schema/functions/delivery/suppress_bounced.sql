-- Suppresses the addresses of bounced messages, by their numbers: after a hard bounce for good; after
-- a soft one for 30 days, if 3 of the last 5 messages to the address bounced softly.
create or replace function delivery.suppress_bounced(numbers bigint[], at timestamptz) returns void
language sql as $$
    with bounced as (
        select distinct organization_id, channel, address, bounce
        from delivery.messages
        where id = any(numbers) and state = 'bounced' and address is not null
    ),
    judged as (
        select bounced.*
        from bounced
        where bounce = 'hard'
            or bounce = 'soft' and 3 <= (
                select count(*) filter (where latest.bounce = 'soft')
                from (
                    select message.bounce
                    from delivery.messages as message
                    where message.organization_id = bounced.organization_id
                        and message.channel = bounced.channel
                        and message.address = bounced.address
                        and message.state in ('sent', 'delivered', 'bounced', 'failed')
                        and message.sent_at is not null
                    order by message.sent_at desc, message.id desc
                    limit 5
                ) as latest
            )
    )
    insert into delivery.suppressions as known (
        organization_id, address, channel, reason, since, until, source
    )
    select organization_id, address, channel, bounce || '_bounce', at,
           case when bounce = 'soft' then at + interval '30 days' end, 'bounce'
    from judged
    order by 1, 2, 3, 4
    on conflict (organization_id, address, channel, reason)
        do update set until = greatest(known.until, excluded.until)
        where known.reason = 'soft_bounce' and known.until is not null
$$;
