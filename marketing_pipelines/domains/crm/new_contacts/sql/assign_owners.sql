-- Gives contacts without owner the users in turn, from `assigned` on; returns a row for each. In the
-- order of the contacts, so that two statements do not wait for each other.
with waiting as materialized (
    select id
    from crm.contacts
    where id = any(:contacts) and organization_id = :organization_id and owner_id is null
    order by id
    for no key update
),
numbered as (
    select id, :assigned + row_number() over (order by id) - 1 as number
    from waiting
)
update crm.contacts as contact
set owner_id = (cast(:users as bigint[]))[1 + numbered.number % cardinality(cast(:users as bigint[]))]
from numbered
where contact.id = numbered.id
returning contact.id
