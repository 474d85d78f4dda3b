-- Suppresses the addresses of the messages that bounced, for good or repeatedly.
select delivery.suppress_bounced(
    array(
        select message_id
        from delivery.message_events
        where id = any(:ids) and type = 'bounced' and message_id is not null
    ),
    :now
)
