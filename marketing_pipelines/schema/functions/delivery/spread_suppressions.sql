-- A contact that must not be written to takes its addresses with it: each gets a row of its own,
-- which holds for every contact of the organization that has it.
create or replace function delivery.spread_suppressions() returns trigger
language plpgsql as $$
begin
    -- A statement without rows fires this trigger too, and the insert below is such a statement.
    if not exists (select from touched where contact_id is not null) then
        return null;
    end if;
    insert into delivery.suppressions (
        organization_id, address, channel, reason, since, until, source
    )
    select touched.organization_id, given.address, touched.channel, touched.reason,
           min(touched.since), max(touched.until), 'contact'
    from touched
    join crm.contacts as contact
        on contact.id = touched.contact_id
        and contact.organization_id = touched.organization_id
    cross join lateral (
        select delivery.address_of(channel, delivery.address_given(
            channel, contact.email, contact.phone, contact.attributes
        )) as address
        from unnest(array['email', 'sms', 'push']) as channel
        where touched.channel in (channel, 'all')
    ) as given
    where touched.reason in ('unsubscribed', 'complaint', 'do_not_contact')
        and given.address is not null
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
    on conflict do nothing;
    return null;
end $$;
