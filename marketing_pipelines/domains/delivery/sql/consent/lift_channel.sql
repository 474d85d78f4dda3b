-- Lifts `unsubscribed` of a channel for a contact that came back, and for the contacts with its
-- address. A suppression of all channels goes on for the other channels.
with own as (
    select organization_id, id,
           delivery.address_of(:channel, delivery.address_given(
               :channel, email, phone, attributes
           )) as address
    from crm.contacts
    where id = :contact_id
),
lifted as (
    delete from delivery.suppressions as suppression
    using own
    where suppression.organization_id = own.organization_id
        and suppression.channel in (:channel, 'all') and suppression.reason = 'unsubscribed'
        and (
            suppression.contact_id = own.id
            or suppression.address = own.address
            or suppression.contact_id in (
                select other.id
                from crm.contacts as other
                where other.organization_id = own.organization_id
                    and case :channel
                        when 'sms' then delivery.address_of('sms', other.phone) = own.address
                        when 'email' then delivery.address_of('email', other.email) = own.address
                        else other.attributes ->> 'push_token' is not null
                            and delivery.address_of('push', other.attributes ->> 'push_token')
                                = own.address
                    end
            )
        )
    returning suppression.*
)
insert into delivery.suppressions (
    organization_id, contact_id, channel, reason, since, until, source
)
select lifted.organization_id, lifted.contact_id, other.channel, lifted.reason, lifted.since,
       lifted.until, lifted.source
from lifted
cross join unnest(array['email', 'sms', 'push']) as other (channel)
where lifted.channel = 'all' and lifted.contact_id is not null and other.channel <> :channel
on conflict do nothing
