-- For each sending domain: its warm-up, and its mails handed over in the last day and in the last seven
-- days, with bounces and complaints about these mails.
with mail as (
    select organization_id, domain_id,
        count(*) as sent_week,
        count(*) filter (where sent_at >= :day) as sent_day,
        count(*) filter (where state = 'delivered') as delivered_week,
        count(*) filter (where state = 'delivered' and sent_at >= :day) as delivered_day,
        count(*) filter (where bounce = 'hard') as hard_week,
        count(*) filter (where bounce = 'hard' and sent_at >= :day) as hard_day,
        count(*) filter (where bounce = 'soft') as soft_week,
        count(*) filter (where bounce = 'soft' and sent_at >= :day) as soft_day
    from delivery.messages
    where channel = 'email' and sent_at >= :week and sent_at < :now
    group by organization_id, domain_id
),
complaint as (
    select message.organization_id, message.domain_id,
        count(distinct message.id) as complaints_week,
        count(distinct message.id) filter (where message.sent_at >= :day) as complaints_day
    from delivery.message_events as event
    join delivery.messages as message on message.id = event.message_id
    where event.type = 'complained' and event.received_at >= :week
        and message.channel = 'email' and message.sent_at >= :week and message.sent_at < :now
    group by message.organization_id, message.domain_id
),
counted as (
    -- A mail that names no domain left from the organization's default.
    select coalesce(mail.domain_id, delivery.default_domain(mail.organization_id)) as domain_id,
        sum(mail.sent_week) as sent_week, sum(mail.sent_day) as sent_day,
        sum(mail.delivered_week) as delivered_week, sum(mail.delivered_day) as delivered_day,
        sum(mail.hard_week) as hard_week, sum(mail.hard_day) as hard_day,
        sum(mail.soft_week) as soft_week, sum(mail.soft_day) as soft_day,
        sum(coalesce(complaint.complaints_week, 0)) as complaints_week,
        sum(coalesce(complaint.complaints_day, 0)) as complaints_day
    from mail
    left join complaint
        on complaint.organization_id = mail.organization_id
        and complaint.domain_id is not distinct from mail.domain_id
    group by 1
)
select organization.external_id as organization, domain.domain, domain.from_address,
    domain.id = delivery.default_domain(domain.organization_id) as is_default,
    case when domain.paused_until > :now then domain.paused_until end as paused_until,
    delivery.warmup_cap(
        domain.warmup, domain.warmup_started_on, :today, organization.settings
    ) as cap,
    :today - coalesce(domain.warmup_started_on, :today) + 1 as warmup_day,
    domain.warmup_started_on,
    coalesce(taken.reserved, 0) as taken,
    array(
        select delivery.warmup_cap(
            domain.warmup, domain.warmup_started_on, domain.warmup_started_on + number,
            organization.settings
        )
        from generate_series(0, 29) as number
        where domain.warmup = 'auto' and domain.warmup_started_on is not null
        order by number
    ) as caps,
    array(
        select coalesce(past.reserved, 0)
        from generate_series(0, 29) as number
        left join delivery.warmup_reservations as past
            on past.domain_id = domain.id and past.day = domain.warmup_started_on + number
        where domain.warmup = 'auto' and domain.warmup_started_on + number <= :today
        order by number
    ) as places,
    coalesce(counted.sent_day, 0) as sent_day, coalesce(counted.sent_week, 0) as sent_week,
    coalesce(counted.delivered_day, 0) as delivered_day,
    coalesce(counted.delivered_week, 0) as delivered_week,
    coalesce(counted.hard_day, 0) as hard_day, coalesce(counted.hard_week, 0) as hard_week,
    coalesce(counted.soft_day, 0) as soft_day, coalesce(counted.soft_week, 0) as soft_week,
    coalesce(counted.complaints_day, 0) as complaints_day,
    coalesce(counted.complaints_week, 0) as complaints_week
from delivery.sending_domains as domain
join crm.organizations as organization on organization.id = domain.organization_id
left join delivery.warmup_reservations as taken
    on taken.domain_id = domain.id and taken.day = :today
left join counted on counted.domain_id = domain.id
order by organization.external_id, is_default desc, domain.domain
