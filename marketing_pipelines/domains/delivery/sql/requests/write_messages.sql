-- Writes one message to each of the contacts of a request; of contacts with one address, the one with
-- the smallest number gets it. Those that must not or cannot be written to are suppressed at once.
-- Returns the message of each recipient, in the order of the request.
with recipients as materialized (
    select recipient.place, contact.id as contact_id, given.given,
           delivery.address_of(:channel, given.given) as address,
           delivery.address_of('email', contact.email) as mail_address
    from unnest(cast(:contacts as bigint[])) with ordinality as recipient (contact_id, place)
    join crm.contacts as contact on contact.id = recipient.contact_id
    cross join lateral (
        select delivery.address_given(
            :channel, contact.email, contact.phone, contact.attributes
        ) as given
    ) as given
),
chosen as materialized (
    select recipients.*,
           min(contact_id) over (
               partition by coalesce('address ' || address, 'contact ' || contact_id)
           ) as written_to
    from recipients
),
judged as materialized (
    select distinct on (chosen.contact_id) chosen.contact_id, chosen.address,
           coalesce(
               suppression.reason,
               consent.reason,
               case
                   when chosen.address is not null then null
                   when chosen.given ~ '[^[:space:]]' then 'invalid_number'
                   else 'no_address'
               end
           ) as problem
    from chosen
    left join lateral delivery.suppression_for(
        :organization_id, chosen.contact_id, :channel, chosen.address, :kind, :due_at
    ) as suppression on true
    left join lateral delivery.consent_problem(
        :organization_id, chosen.contact_id, :category_id, chosen.mail_address
    ) as consent (reason) on :kind = 'marketing'
    where chosen.contact_id = chosen.written_to
),
written as (
    insert into delivery.messages (
        organization_id, channel, contact_id, address, kind, priority, domain_id, category_id,
        idempotency_key, content_id, variables, state, reason, due_at, queued_at, expires_at,
        is_bulk
    )
    select :organization_id, :channel, contact_id, address, :kind, :priority, :domain_id,
           :category_id, :idempotency_key, :content_id, cast(:variables as jsonb),
           case when problem is null then 'queued' else 'suppressed' end, problem, :due_at, :now,
           :expires_at, count(*) over () > 1
    from judged
    order by contact_id
    returning id, contact_id, state, reason
)
select written.id, written.state, written.reason
from chosen
join written on written.contact_id = chosen.written_to
order by chosen.place
