-- The contact of each name or address, in their order; null where there is none. Of several contacts
-- with one address it is the one with the smallest number.
select coalesce(named.id, addressed.id)
from jsonb_to_recordset(cast(:asked as jsonb)) as asked (place integer, contact text, address text)
left join crm.contacts as named
    on named.organization_id = :organization_id and named.external_id = asked.contact
left join lateral (
    select min(found.id) as id
    from (
        select known.id
        from crm.contacts as known
        where :channel = 'email' and known.organization_id = :organization_id
            and delivery.address_of('email', known.email) = asked.address
        union all
        select known.id
        from crm.contacts as known
        where :channel = 'sms' and known.organization_id = :organization_id
            and delivery.address_of('sms', known.phone) = asked.address
        union all
        select known.id
        from crm.contacts as known
        where :channel = 'push' and known.organization_id = :organization_id
            and known.attributes ->> 'push_token' is not null
            and delivery.address_of('push', known.attributes ->> 'push_token') = asked.address
    ) as found
) as addressed on asked.address is not null
order by asked.place
