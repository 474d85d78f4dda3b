-- Notes that the confirmation of a subscription is asked for now; returns nothing where it was asked
-- for lately, or is not needed.
update delivery.subscriptions
set asked_at = :now
where contact_id = :contact_id and category_id = :category_id and state = 'unconfirmed'
    and (asked_at is null or asked_at <= :latest)
returning id
