-- The contacts of an organization that have an address of any channel.
select id from crm.contacts
where organization_id = :organization
    and (
        delivery.address_of('email', email) = delivery.address_of('email', :address)
        or delivery.address_of('sms', phone) = delivery.address_of('sms', :address)
        or attributes ->> 'push_token' is not null
            and delivery.address_of('push', attributes ->> 'push_token')
                = delivery.address_of('push', :address)
    )
order by id
