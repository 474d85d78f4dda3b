-- Adds the subscribers of a category, and members of a segment where one is named, to a campaign. With
-- opt-out, every contact that has not left subscribes.
with subscribers as (
    select subscription.contact_id
    from delivery.subscriptions as subscription
    where subscription.category_id = :category_id and subscription.state = 'subscribed'
    union
    select contact.id
    from delivery.categories as category
    join crm.contacts as contact on contact.organization_id = category.organization_id
    where category.id = :category_id and category.mode = 'opt_out'
)
insert into lifecycle.enrolments (
    organization_id, program_kind, program_id, contact_id, entered_at, next_step_at
)
select :organization_id, 'campaign', :campaign_id, contact.id, :tick, :tick
from subscribers
join crm.contacts as contact
    on contact.id = subscribers.contact_id and contact.organization_id = :organization_id
left join lateral delivery.consent_for(
    :organization_id, contact.id, :category_id, delivery.address_of('email', contact.email)
) as consent on true
where consent.reason is null
    and (
        cast(:segment_id as bigint) is null
        or exists (
            select from segments.memberships as membership
            where membership.segment_id = :segment_id
                and membership.contact_id = contact.id and membership.left_at is null
        )
    )
    and not exists (
        select from lifecycle.enrolments as earlier
        where earlier.program_kind = 'campaign' and earlier.program_id = :campaign_id
            and earlier.contact_id = contact.id
    )
order by contact.id
on conflict do nothing
