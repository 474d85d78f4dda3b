-- Held until the transaction ends.
select pg_advisory_xact_lock(
    hashtext('inbox.email_messages ' || cast(:organization_id as bigint))
)
