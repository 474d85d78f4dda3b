-- The contacts under way in a program, by channel: how many there are, and how many of them must not
-- or cannot be written to.
select channel.name as channel, count(*) as enrolled,
       count(suppression.reason) as suppressed,
       count(*) filter (
           where suppression.reason is null and coalesce(channel.address, '') = ''
       ) as without_address
from lifecycle.enrolments as enrolment
join crm.contacts as contact on contact.id = enrolment.contact_id
cross join lateral (
    values ('email', contact.email), ('sms', contact.phone),
           ('push', contact.attributes ->> 'push_token')
) as channel (name, address)
left join lateral delivery.suppression_for(
    contact.organization_id, contact.id, channel.name,
    delivery.address_of(channel.name, channel.address), 'marketing', :now
) as suppression on true
where enrolment.program_kind = :kind
    and enrolment.program_id = :program
    and enrolment.status = 'active'
    and channel.name = any(cast(:channels as text[]))
group by channel.name
order by channel.name
