-- Events suppress in their own transaction: `unsubscribed` and `complained` the contact, a hard
-- bounce the address of the message that the event names, else the contact's present one. A contact
-- of which no address is known yet is suppressed itself.
create or replace function delivery.suppress() returns trigger
language plpgsql as $$
begin
    insert into delivery.suppressions (
        organization_id, contact_id, address, channel, reason, since, source
    )
    with found as materialized (
        select touched.organization_id, touched.contact_id, suppression.channel,
               suppression.reason, touched.occurred_at,
               case when suppression.reason = 'hard_bounce'
                       and touched.properties ->> 'message_id' ~ '^[0-9]{1,18}$'
                   then cast(touched.properties ->> 'message_id' as bigint) end as message_id
        from touched
        cross join lateral delivery.suppression_of(
            touched.event_type, touched.properties
        ) as suppression
    ),
    addressed as (
        select found.*,
               case when found.reason = 'hard_bounce' then coalesce(
                   message.address,
                   delivery.address_of(found.channel, delivery.address_given(
                       found.channel, contact.email, contact.phone, contact.attributes
                   ))
               ) end as address
        from found
        left join delivery.messages as message
            on message.id = found.message_id
            and message.organization_id = found.organization_id
            and message.contact_id = found.contact_id
            and message.channel = found.channel
        left join crm.contacts as contact
            on found.reason = 'hard_bounce' and contact.id = found.contact_id
    )
    select organization_id, case when address is null then contact_id end, address, channel, reason,
           min(occurred_at), 'event'
    from addressed
    group by 1, 2, 3, 4, 5
    order by 1, 2, 3, 4, 5
    on conflict do nothing;
    return null;
end $$;
