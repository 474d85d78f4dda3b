-- Held until the transaction ends.
select pg_advisory_xact_lock(hashtext('delivery.message_events'))
