-- The first suppression that keeps a message from a contact and its address at an instant, if any.
-- Transactional messages go to a contact that unsubscribed; messages to a user, who is not a
-- contact, obey hard bounces only. A webhook goes to a system: only a suppression of webhooks stops
-- it.
create or replace function delivery.suppression_for(
    organization bigint, contact bigint, channel text, address text, kind text, at timestamptz
) returns table (reason text, since timestamptz)
language sql stable parallel safe as $$
    select found.reason, found.since
    from (
        select own.id, own.reason, own.since, own.until
        from delivery.suppressions as own
        where own.contact_id = suppression_for.contact
            and own.channel in (
                suppression_for.channel,
                case when suppression_for.channel <> 'webhook' then 'all' end
            )
        union all
        select shared.id, shared.reason, shared.since, shared.until
        from delivery.suppressions as shared
        where shared.organization_id = suppression_for.organization
            and shared.address = suppression_for.address
            and shared.channel in (suppression_for.channel, 'all')
    ) as found
    where (found.until is null or found.until > suppression_for.at)
        and (suppression_for.kind = 'marketing' or found.reason <> 'unsubscribed')
        and (suppression_for.contact is not null or found.reason = 'hard_bounce')
    order by found.since, found.id
    limit 1
$$;
