-- The oldest arrivals of an organization before the tick. The contact of a signal since the tick that
-- no arrival waits for was scored as of a later instant: its arrivals are left to a later tick.
select arrival.id, arrival.contact_id, arrival.first_at, least(arrival.last_at, :tick) as last_at
from leads.signal_arrivals as arrival
where arrival.organization_id = :organization_id and arrival.first_at < :tick
    and not exists (
        select
        from analytics.contact_activity as event
        where event.organization_id = :organization_id and event.contact_id = arrival.contact_id
            and event.event_type = any(cast(:types as text[]))
            and event.occurred_at >= :tick and event.occurred_at < now()
            and not exists (
                select
                from leads.signal_arrivals as waiting
                where waiting.organization_id = :organization_id
                    and waiting.contact_id = event.contact_id
                    and event.occurred_at between waiting.first_at and waiting.last_at
            )
    )
order by arrival.id
limit :size
