-- Numbers of events that may have found their message, or whose message may have settled, by now.
(
    select id
    from delivery.message_events
    where applied_at is null and message_id is null and received_at > :since
        and id <> all(:besides)
    order by received_at
    limit :limit
)
union all
(
    select id
    from delivery.message_events
    where applied_at is null and message_id is not null
        and id <> all(:besides)
    order by message_id
    limit :limit
)
