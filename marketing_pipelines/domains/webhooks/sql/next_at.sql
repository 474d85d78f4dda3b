-- The next instant at which an endpoint without due deliveries may have one: the next due time, or
-- the time at which later deliveries of a contact pass one that fails; null: nothing waits.
select least(
    (select min(due_at) from webhooks.deliveries
     where endpoint_id = :endpoint_id and state = 'waiting' and due_at > :now),
    (select min(first_failed_at) + :patience from webhooks.deliveries
     where endpoint_id = :endpoint_id and state = 'waiting' and first_failed_at > :now - :patience)
)
