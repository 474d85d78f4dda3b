-- For each of these domains: its last 100 mails that were handed over, how many of them bounced hard,
-- the commonest answer to those, and their addresses.
select domain.id, domain.domain, organization.external_id as organization, domain.paused_until,
       latest.mails, latest.hard, latest.answer, latest.addresses
from delivery.sending_domains as domain
join crm.organizations as organization on organization.id = domain.organization_id
cross join lateral (
    select count(*) as mails,
           count(*) filter (where bounce = 'hard') as hard,
           mode() within group (order by reason) filter (where bounce = 'hard') as answer,
           array_agg(distinct address) filter (where bounce = 'hard' and address is not null)
               as addresses
    from (
        select message.bounce, message.reason, message.address
        from delivery.messages as message
        where message.channel = 'email' and message.sent_at is not null
            and message.organization_id = domain.organization_id
            and coalesce(
                message.domain_id, delivery.default_domain(message.organization_id)
            ) = domain.id
        order by message.sent_at desc, message.id desc
        limit 100
    ) as mail
) as latest
where domain.id = any(:domains)
order by domain.id
for update of domain
