-- The contacts of new and changed submissions: by external id, else by address (of several the oldest),
-- else the one that the submission itself made. A submission with another address or external id than
-- before is looked up anew; without either it keeps its contact. The name of a contact to be made is
-- that of the first submission with the address.
with asked as (
    select identity,
           coalesce(
               (
                   select id from crm.contacts as known
                   where known.organization_id = :organization_id
                       and known.external_id = own.external_id
               ),
               (
                   select min(id) from crm.contacts as known
                   where own.address is not null and known.organization_id = :organization_id
                       and delivery.address_of('email', known.email) = own.address
               ),
               (
                   select id from crm.contacts as known
                   where own.address is not null and known.organization_id = :organization_id
                       and known.external_id = 'form:' || :form || ':' || own.identity
               )
           ) as contact_id,
           'form:' || :form || ':'
               || first_value(identity) over (partition by address order by position) as made
    from read_submissions as own
    where is_changed and (
        contact_id is null
        or address is distinct from
            delivery.address_of('email', former ->> cast(:email as text))
            and address is not null
        or external_id is distinct from btrim(former ->> cast(:external_id as text))
            and external_id is not null
    )
)
update read_submissions as own
set contact_id = coalesce(asked.contact_id, case when own.address is null then own.contact_id end),
    contact_name = case when own.address is not null and asked.contact_id is null then asked.made end
from asked
where asked.identity = own.identity
