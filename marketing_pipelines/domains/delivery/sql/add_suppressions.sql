-- Inserts the suppressions that a file adds; a trigger spreads suppressions of contacts to their
-- addresses.
insert into delivery.suppressions (
    organization_id, contact_id, address, channel, reason, since, source
)
select distinct on (organization_id, contact_id, address, channel, reason)
    organization_id, contact_id, address, channel, reason, coalesce(since, now()), 'file'
from loaded_entries
where action = 'add'
order by organization_id, contact_id, address, channel, reason, line desc
on conflict do nothing
