-- The reason for which a contact, at an address, gets no marketing message of a category (null: the
-- default one); null: it consented. Leaving holds for every contact of the organization with the
-- address, opting in for the contact alone. A contact that only messages of an application named gets
-- no marketing until it subscribes to a category, or a file or form names it.
-- A function of rows becomes part of a statement over many messages; `consent_problem` would be
-- called for each of them.
create or replace function delivery.consent_for(
    organization bigint, contact bigint, category bigint, address text
) returns table (reason text)
language sql stable parallel safe as $$
    select coalesce(
        (
            select case
                when exists (
                    select from delivery.subscriptions as left_by
                    where left_by.category_id = own.id and left_by.state = 'unsubscribed'
                        and left_by.address = consent_for.address
                ) or subscription.state = 'unsubscribed' then 'unsubscribed'
                when own.mode = 'opt_out' or subscription.state = 'subscribed' then null
                when subscription.state = 'unconfirmed' then 'unconfirmed'
                else 'not_subscribed'
            end
            from delivery.categories as own
            left join delivery.subscriptions as subscription
                on subscription.category_id = own.id
                and subscription.contact_id = consent_for.contact
            where own.organization_id = consent_for.organization
                and (own.id = consent_for.category or consent_for.category is null and own.is_default)
            limit 1
        ),
        (
            select 'not_subscribed'
            from crm.contacts as known
            where known.id = consent_for.contact and known.source = 'api' and not exists (
                select from delivery.subscriptions as any_of_its
                where any_of_its.contact_id = known.id and any_of_its.state = 'subscribed'
            )
        )
    )
$$;
