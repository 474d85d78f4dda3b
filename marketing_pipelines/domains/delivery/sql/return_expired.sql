-- Queues claimed messages again whose lease ran out: nothing of them was handed over. The attempt
-- counts, and they are due from the end of the lease on; a place of warm-up is given back.
with expired as materialized (
    select id, domain_id, reserved_on
    from delivery.messages
    where id = any(:ids)
),
days as materialized (
    select reservation.domain_id, reservation.day, given_back.places
    from delivery.warmup_reservations as reservation
    join (
        select domain_id, reserved_on, count(*) as places
        from expired
        where reserved_on is not null
        group by domain_id, reserved_on
    ) as given_back
        on given_back.domain_id = reservation.domain_id
        and given_back.reserved_on = reservation.day
    order by reservation.domain_id, reservation.day
    for update of reservation
),
places as (
    update delivery.warmup_reservations as reservation
    set reserved = reservation.reserved - days.places
    from days
    where reservation.domain_id = days.domain_id and reservation.day = days.day
)
update delivery.messages as message
set state = 'queued', leased_until = null, due_at = message.leased_until, reserved_on = null
from expired
where message.id = expired.id
