-- A contact that is no longer suppressed frees its addresses, except those that another contact with
-- the same suppression has.
create or replace function delivery.lift_spread_suppressions() returns trigger
language plpgsql as $$
begin
    -- A statement without rows fires this trigger too, and the delete below is such a statement.
    if not exists (select from touched where contact_id is not null) then
        return null;
    end if;
    delete from delivery.suppressions as spread
    using touched
    join crm.contacts as contact
        on contact.id = touched.contact_id
        and contact.organization_id = touched.organization_id
    cross join unnest(array['email', 'sms', 'push']) as channel (name)
    where touched.channel in (channel.name, 'all')
        and spread.organization_id = touched.organization_id
        and spread.address = delivery.address_of(channel.name, delivery.address_given(
            channel.name, contact.email, contact.phone, contact.attributes
        ))
        and spread.channel = touched.channel and spread.reason = touched.reason
        and spread.source = 'contact'
        and not exists (
            select from crm.contacts as other
            join delivery.suppressions as own
                on own.contact_id = other.id
                and own.channel = spread.channel and own.reason = spread.reason
            where other.organization_id = spread.organization_id
                and (
                    channel.name = 'email'
                        and delivery.address_of('email', other.email) = spread.address
                    or channel.name = 'sms'
                        and delivery.address_of('sms', other.phone) = spread.address
                    or channel.name = 'push'
                        and other.attributes ->> 'push_token' is not null
                        and delivery.address_of('push', other.attributes ->> 'push_token')
                            = spread.address
                )
        );
    return null;
end $$;
