-- By which channels a contact is not written to, and why.
select channel.name as channel,
       coalesce(suppression.reason, 'no_address') as reason, suppression.since
from crm.contacts as contact
cross join lateral (
    values ('email', contact.email), ('sms', contact.phone),
           ('push', contact.attributes ->> 'push_token')
) as channel (name, address)
left join lateral delivery.suppression_for(
    contact.organization_id, contact.id, channel.name,
    delivery.address_of(channel.name, channel.address), 'marketing', :now
) as suppression on true
where contact.id = :contact
    and (suppression.reason is not null or coalesce(channel.address, '') = '')
