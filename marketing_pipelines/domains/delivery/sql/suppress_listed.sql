-- Suppresses the channel for the contacts of messages whose recipient is on a list of the service.
insert into delivery.suppressions (organization_id, contact_id, channel, reason, since, source)
select message.organization_id, message.contact_id, message.channel, listed.reason,
       min(message.claimed_at), 'event'
from unnest(cast(:ids as bigint[]), cast(:reasons as text[])) as listed (id, reason)
join delivery.messages as message on message.id = listed.id
where message.contact_id is not null
group by 1, 2, 3, 4
order by 1, 2, 3, 4
on conflict do nothing
