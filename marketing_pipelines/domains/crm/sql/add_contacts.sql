-- Adds a contact for each address that no contact of the organization has, as its first mention has
-- it. In the order of the ids, so that two calls do not wait for each other.
insert into crm.contacts (
    organization_id, external_id, email, phone, attributes, first_name, source
)
select distinct on (asked.address)
       :organization_id, 'address:' || asked.address,
       case :channel when 'email' then asked.given end,
       case :channel when 'sms' then asked.given end,
       case :channel when 'push' then jsonb_build_object('push_token', asked.given) else '{}' end,
       asked.name, :source
from jsonb_to_recordset(cast(:asked as jsonb)) as asked (
    place integer, address text, given text, name text
)
where asked.address is not null
    and not exists (
        select from crm.contacts as known
        where :channel = 'email' and known.organization_id = :organization_id
            and delivery.address_of('email', known.email) = asked.address
    )
    and not exists (
        select from crm.contacts as known
        where :channel = 'sms' and known.organization_id = :organization_id
            and delivery.address_of('sms', known.phone) = asked.address
    )
    and not exists (
        select from crm.contacts as known
        where :channel = 'push' and known.organization_id = :organization_id
            and known.attributes ->> 'push_token' is not null
            and delivery.address_of('push', known.attributes ->> 'push_token') = asked.address
    )
order by asked.address, asked.place
on conflict (organization_id, external_id) do nothing
