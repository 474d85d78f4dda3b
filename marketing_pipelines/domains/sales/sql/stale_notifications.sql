-- Notifications of the tick: one to the owner of each deal that became stale, one to each user with a
-- role of `roles` about each deal that came to be at risk.
with described as (
    select deal.id, deal.owner_id, deal.contact_id, period.stale_at, period.at_risk_at,
           sales.period_of(period.silent_since) as period,
           sales.whole_days(:tick - period.silent_since) as days,
           coalesce(deal.name, deal.external_id) || coalesce(
               ' (' || nullif(concat_ws(', ', deal.stage, sales.money(deal.amount, deal.currency)),
                              '') || ')',
               ''
           ) as name
    from sales.stale_deals as period
    join crm.deals as deal on deal.id = period.deal_id
    where period.organization_id = :organization_id
        and (period.stale_at = :tick or period.at_risk_at = :tick)
)
select owner_id as user_id, contact_id, 'stale_deal' as kind,
       'Deal inactive for ' || days || ' days' as title,
       name || ' has had no e-mail, call, meeting or note for ' || days || ' days.' as text,
       'deal:' || id as ref, 'deal ' || id as subject, period
from described
where stale_at = :tick
union all
select users.id, described.contact_id, 'deal_at_risk',
       'Deal at risk: inactive for ' || days || ' days',
       described.name || ' has had no e-mail, call, meeting or note for ' || days || ' days. Owner: '
           || coalesce(owner.name, owner.external_id, 'none') || '.',
       'deal:' || described.id, 'deal ' || described.id, described.period
from described
left join crm.users as owner on owner.id = described.owner_id
cross join crm.users as users
where at_risk_at = :tick and users.organization_id = :organization_id and users.active
    and users.role = any(:roles)
