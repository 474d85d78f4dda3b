-- Gives the claimed messages of domains under warm-up places of the day, transactional ones first,
-- and puts the others back until the day is over. Returns the messages put back, and the places
-- taken so far by domain (with the id null).
with batch as (
    select message.id, domain.id as domain_id, domain.warmup, domain.warmup_started_on,
           organization.settings,
           message.kind = 'transactional' as is_transactional,
           row_number() over (
               partition by domain.id
               order by message.kind = 'transactional' desc, message.priority desc,
                   message.due_at, message.id
           ) as place
    from delivery.messages as message
    join delivery.sending_domains as domain
        on domain.id = coalesce(message.domain_id, delivery.default_domain(message.organization_id))
    join crm.organizations as organization on organization.id = domain.organization_id
    where message.id = any(:ids) and domain.id = any(:domains)
        and message.reserved_on is distinct from :today
),
judged as materialized (
    select batch.id, batch.domain_id,
           batch.is_transactional or batch.place <= delivery.warmup_cap(
               batch.warmup, batch.warmup_started_on, :today, batch.settings
           ) - coalesce(reservation.reserved, 0) as has_place
    from batch
    left join delivery.warmup_reservations as reservation
        on reservation.domain_id = batch.domain_id and reservation.day = :today
),
reserved as (
    insert into delivery.warmup_reservations as reservation (domain_id, day, reserved)
    select domain_id, :today, count(*)
    from judged
    where has_place
    group by domain_id
    order by domain_id
    on conflict (domain_id, day) do update set reserved = reservation.reserved + excluded.reserved
    returning domain_id, reserved
),
started as (
    update delivery.sending_domains as domain
    set warmup_started_on = :today
    from reserved
    where domain.id = reserved.domain_id and domain.warmup_started_on is null
),
placed as (
    update delivery.messages as message
    set reserved_on = case when judged.has_place then cast(:today as date) end,
        domain_id = judged.domain_id,
        state = case when judged.has_place then message.state else 'queued' end,
        attempts = message.attempts - case when judged.has_place then 0 else 1 end,
        due_at = case when judged.has_place then message.due_at else :midnight end,
        reason = case when judged.has_place then message.reason else 'warmup' end,
        leased_until = case when judged.has_place then message.leased_until end
    from judged
    where message.id = judged.id
    returning message.id, judged.has_place
)
select id, cast(null as text) as domain, cast(null as text) as organization,
       cast(null as integer) as reserved
from placed
where not has_place
union all
select null, domain.domain, organization.external_id, reserved.reserved
from reserved
join delivery.sending_domains as domain on domain.id = reserved.domain_id
join crm.organizations as organization on organization.id = domain.organization_id
