-- The contacts of an organization that the tick asks about, with their address: those never asked
-- about first, then the longest ago. Contacts that an earlier attempt of the tick asked about count
-- among the most.
with asked as (
    select count(*) as already
    from crm.contacts
    where organization_id = :organization_id and enriched_at = :tick
)
select contact.id, delivery.address_of('email', contact.email) as address
from crm.contacts as contact
where contact.organization_id = :organization_id
    and delivery.address_of('email', contact.email) is not null
    and (contact.enriched_at is null or contact.enriched_at <= :before)
order by contact.enriched_at nulls first, contact.id
limit greatest(cast(:most as bigint) - (select already from asked), 0)
