-- Closes the days before a day: counts the mails that were handed over on each. Returns the days,
-- with the names of domain and organization.
with closed as (
    update delivery.warmup_reservations as reservation
    set closed_at = :at,
        sent = (
            select count(*)
            from delivery.messages as message
            where message.domain_id = reservation.domain_id
                and message.reserved_on = reservation.day
                and message.state in ('sent', 'delivered', 'bounced', 'unknown')
        )
    where reservation.day < :day and reservation.closed_at is null
    returning reservation.domain_id, reservation.day, reservation.reserved, reservation.sent
)
select organization.external_id as organization, domain.domain, closed.day, closed.reserved,
       closed.sent
from closed
join delivery.sending_domains as domain on domain.id = closed.domain_id
join crm.organizations as organization on organization.id = domain.organization_id
order by 1, 2, 3
