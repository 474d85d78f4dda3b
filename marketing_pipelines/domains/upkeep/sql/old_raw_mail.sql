-- Mails whose raw file every mailbox with it has kept for its days, the oldest first; 0 days are for
-- ever. Mail of which no place is known any more is kept as long as by any mailbox of its
-- organization.
with mailbox as materialized (
    select id, organization_id,
           coalesce(nullif((settings ->> 'keep_raw_days')::integer, 0), 365) as days,
           settings ->> 'keep_raw_days' = '0' as is_for_ever
    from integrations.connections
    where provider = 'imap'
)
select mail.id, mail.raw_path, mail.received_at
from inbox.email_messages as mail
cross join lateral (
    select max(mailbox.days) as days, bool_or(mailbox.is_for_ever) as is_for_ever
    from inbox.message_places as place
    join mailbox on mailbox.id = place.connection_id
    where place.message_id = mail.id
) as placed
cross join lateral (
    select max(mailbox.days) as days, bool_or(mailbox.is_for_ever) as is_for_ever
    from mailbox
    where mailbox.organization_id = mail.organization_id and placed.days is null
) as known
where mail.raw_path is not null
    and (mail.received_at, mail.id) > (:after, :after_id)
    and not coalesce(placed.is_for_ever, known.is_for_ever, false)
    and mail.received_at < :instant - make_interval(days => coalesce(placed.days, known.days, 365))
order by mail.received_at, mail.id
limit :batch
