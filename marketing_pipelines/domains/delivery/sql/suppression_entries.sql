-- The rows of a file of suppressions with the contacts and addresses that they name. A bounce is the
-- address's: that of the contact, if it has one.
create or replace temporary view loaded_entries as
select loaded.line, organization.id as organization_id,
       case when named.reason_holds_for = 'contact' or given.address is null then contact.id
           end as contact_id,
       case when contact.id is null or named.reason_holds_for = 'address' then given.address
           end as address,
       named.channel, loaded.reason, cast(loaded.fields ->> 'since' as timestamptz) as since,
       coalesce(loaded.fields ->> 'action', 'add') as action
from loaded_suppressions as loaded
join crm.organizations as organization on organization.external_id = loaded.organization_id
left join crm.contacts as contact
    on contact.organization_id = organization.id and contact.external_id = loaded.contact_id
cross join lateral (
    select case when loaded.reason in ('hard_bounce', 'soft_bounce') then 'address'
               else 'contact' end as reason_holds_for,
           case when loaded.reason in ('hard_bounce', 'soft_bounce') and loaded.channel = 'all'
               then 'email' else loaded.channel end as channel
) as named
cross join lateral (
    select delivery.address_of(named.channel, coalesce(loaded.address, delivery.address_given(
        named.channel, contact.email, contact.phone, contact.attributes
    ))) as address
) as given
