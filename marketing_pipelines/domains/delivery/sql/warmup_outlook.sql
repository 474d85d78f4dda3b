-- The sending domains of organizations (null: of all) under warm-up: the mails that wait for each, the
-- cap of today and of each of the days after it, the places of today that are taken, and the end
-- of its pause.
select domain.id, domain.domain, organization.external_id as organization,
    domain.id = delivery.default_domain(domain.organization_id) as is_default,
    organization.settings,
    case when domain.paused_until > :now then domain.paused_until end as paused_until,
    coalesce(taken.reserved, 0) as taken,
    (
        select count(*)
        from delivery.messages as message
        where message.channel = 'email' and message.organization_id = domain.organization_id
            and message.state = 'queued' and message.kind = 'marketing'
            and coalesce(message.domain_id, 0) in (
                domain.id,
                case when domain.id = delivery.default_domain(domain.organization_id) then 0 end
            )
    ) as waiting,
    array(
        select delivery.warmup_cap(
            domain.warmup, coalesce(domain.warmup_started_on, :today), :today + number,
            organization.settings
        )
        from generate_series(0, 30) as number
        order by number
    ) as caps
from delivery.sending_domains as domain
join crm.organizations as organization on organization.id = domain.organization_id
left join delivery.warmup_reservations as taken
    on taken.domain_id = domain.id and taken.day = :today
where (cast(:organization as bigint) is null or domain.organization_id = :organization)
    and delivery.warmup_cap(
        domain.warmup, domain.warmup_started_on, :today, organization.settings
    ) is not null
order by organization.external_id, domain.domain
