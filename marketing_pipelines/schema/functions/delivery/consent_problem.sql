-- The reason for which a contact, at an address, gets no marketing message of a category (null: the
-- default one); null: it consented. Leaving holds for every contact of the organization with the
-- address, opting in for the contact alone. A contact that only messages of an application named gets
-- no marketing until it subscribes to a category, or a file or form names it.
create or replace function delivery.consent_problem(
    organization bigint, contact bigint, category bigint, address text
) returns text
language sql stable parallel safe as $$
    select coalesce(
        (
            select case
                when exists (
                    select from delivery.subscriptions as left_by
                    where left_by.category_id = own.id and left_by.state = 'unsubscribed'
                        and left_by.address = consent_problem.address
                ) or subscription.state = 'unsubscribed' then 'unsubscribed'
                when own.mode = 'opt_out' or subscription.state = 'subscribed' then null
                when subscription.state = 'unconfirmed' then 'unconfirmed'
                else 'not_subscribed'
            end
            from delivery.categories as own
            left join delivery.subscriptions as subscription
                on subscription.category_id = own.id and subscription.contact_id = contact
            where own.id = coalesce(category, delivery.default_category(organization))
        ),
        (
            select 'not_subscribed'
            from crm.contacts as known
            where known.id = contact and known.source = 'api' and not exists (
                select from delivery.subscriptions as any_of_its
                where any_of_its.contact_id = known.id and any_of_its.state = 'subscribed'
            )
        )
    )
$$;
