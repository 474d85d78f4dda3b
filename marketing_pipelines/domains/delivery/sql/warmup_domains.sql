-- The domains of these mails that are under warm-up, locked: one claim after the other counts their
-- places. Messages of other channels have no domain.
select domain.id
from delivery.sending_domains as domain
join crm.organizations as organization on organization.id = domain.organization_id
where domain.id in (
        select coalesce(message.domain_id, delivery.default_domain(message.organization_id))
        from delivery.messages as message
        where message.id = any(:ids) and message.channel = 'email'
    )
    and delivery.warmup_cap(
        domain.warmup, domain.warmup_started_on, :today, organization.settings
    ) is not null
order by domain.id
for update of domain
