-- Suppresses devices that no longer exist, and removes them from their contacts. A contact that another
-- transaction holds keeps its device, which the suppression leaves out of every message.
with gone as materialized (
    select message.organization_id, message.contact_id, message.claimed_at, device.token
    from unnest(cast(:ids as bigint[]), cast(:tokens as text[])) as device (message_id, token)
    join delivery.messages as message on message.id = device.message_id
),
suppressed as (
    insert into delivery.suppressions (
        organization_id, address, channel, reason, since, source
    )
    select organization_id, token, 'push', 'hard_bounce', min(claimed_at), 'bounce'
    from gone
    group by 1, 2
    order by 1, 2
    on conflict do nothing
),
free as materialized (
    select contact.id, contact.attributes ->> 'push_token' as given
    from crm.contacts as contact
    where contact.id in (select contact_id from gone)
    order by contact.id
    for no key update skip locked
),
left_over as (
    select free.id, string_agg(device.token, ' ' order by device.place) as tokens
    from free
    left join lateral regexp_split_to_table(btrim(free.given, E' \t\r\n'), '\s+')
        with ordinality as device (token, place)
        on not exists (
            select from gone where gone.contact_id = free.id and gone.token = device.token
        )
    group by free.id
)
update crm.contacts as contact
set attributes = case
        when left_over.tokens is null then contact.attributes - 'push_token'
        else contact.attributes || jsonb_build_object('push_token', left_over.tokens)
    end
from left_over
where contact.id = left_over.id
    and contact.attributes ->> 'push_token' is distinct from left_over.tokens
