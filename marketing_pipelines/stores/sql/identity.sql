-- The names of contacts: external ids, full names, and addresses with whether another contact of the
-- organization has them too.
with contact as materialized (
    select * from crm.contacts
    where organization_id = :organization and id = any(:contact_ids)
),
given as materialized (
    select channel, address, delivery.address_given(
               channel, contact.email, contact.phone, contact.attributes
           ) as spelling
    from contact
    cross join unnest(array['email', 'sms', 'push']) as channel
    cross join lateral delivery.address_of(channel, delivery.address_given(
        channel, contact.email, contact.phone, contact.attributes
    )) as address
    where address is not null
),
weighed as (
    select channel, address, spelling,
           exists (
               select from crm.contacts as other
               where other.organization_id = :organization
                   and other.id <> all(:contact_ids)
                   and (
                       given.channel = 'email'
                           and delivery.address_of('email', other.email) = given.address
                       or given.channel = 'sms'
                           and delivery.address_of('sms', other.phone) = given.address
                       or given.channel = 'push'
                           and other.attributes ->> 'push_token' is not null
                           and delivery.address_of('push', other.attributes ->> 'push_token')
                               = given.address
                   )
           ) as is_shared
    from given
)
select
    array(select external_id from contact order by external_id) as external_ids,
    (
        select coalesce(jsonb_object_agg(channel, listed), '{}')
        from (
            select channel, array_agg(distinct address) as listed
            from weighed where not is_shared group by channel
        ) as own
    ) as by_channel,
    array(select distinct address from weighed where is_shared order by address) as shared,
    array(
        select distinct first_name || ' ' || last_name from contact
        where first_name <> '' and last_name <> '' order by 1
    ) as names,
    array(select distinct spelling from weighed where not is_shared order by 1) as spellings
