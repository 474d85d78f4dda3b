-- How many messages of a lane may go (null: any number), and when a lane without room opens: its
-- domain may be paused, or its day of warm-up full. A domain of null is the organization's default.
create or replace function delivery.lane_room(
    organization bigint, channel text, domain bigint, kind text, settings jsonb, at timestamptz,
    today date, tomorrow timestamptz
) returns table (room integer, opens_at timestamptz)
language sql stable parallel safe as $$
    select case
               when own.paused_until > at then 0
               when kind = 'marketing' and cap is not null
                   then greatest(cap - coalesce(reservation.reserved, 0), 0)
           end,
           case when own.paused_until > at then own.paused_until else tomorrow end
    from (values (true)) as lane (is_one)
    left join delivery.sending_domains as own
        on channel = 'email'
        and own.id = coalesce(lane_room.domain, delivery.default_domain(organization))
    left join delivery.warmup_reservations as reservation
        on reservation.domain_id = own.id and reservation.day = today
    cross join lateral delivery.warmup_cap(
        coalesce(own.warmup, 'off'), own.warmup_started_on, today, settings
    ) as cap
$$;
