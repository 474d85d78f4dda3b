-- Lifts `unsubscribed` of a channel for a contact that came back, and for the contacts with its address.
with own as (
    select organization_id, id,
           delivery.address_of(:channel, delivery.address_given(
               :channel, email, phone, attributes
           )) as address
    from crm.contacts
    where id = :contact_id
)
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
                    else delivery.address_of('email', other.email) = own.address
                end
        )
    )
