-- Contacts that unsubscribed, complained or bounced are suppressed in the transaction of the event.
create or replace function delivery.suppress() returns trigger
language plpgsql as $$
begin
    insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
    select organization_id, contact_id, channel, reason, min(occurred_at)
    from touched
    cross join lateral delivery.suppression_of(event_type, properties) as suppression
    group by organization_id, contact_id, channel, reason
    order by contact_id, channel, reason
    on conflict do nothing;
    return null;
end $$;
