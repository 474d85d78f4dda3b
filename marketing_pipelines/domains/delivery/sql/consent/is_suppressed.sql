-- True if the contact, or somebody with its address, left the channel as a whole.
select exists (
    select from delivery.suppressions as suppression
    join crm.contacts as contact on contact.id = :contact_id
    where suppression.organization_id = contact.organization_id
        and suppression.channel in (:channel, 'all') and suppression.reason = 'unsubscribed'
        and (
            suppression.contact_id = contact.id
            or suppression.address = delivery.address_of(
                :channel, delivery.address_given(
                    :channel, contact.email, contact.phone, contact.attributes
                )
            )
        )
)
