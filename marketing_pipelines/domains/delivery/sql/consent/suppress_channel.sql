-- Suppresses a channel for a contact that left it; returns nothing where it is so already.
insert into delivery.suppressions (organization_id, contact_id, channel, reason, since, source)
values (:organization_id, :contact_id, :channel, 'unsubscribed', :now, 'link')
on conflict do nothing
returning id
