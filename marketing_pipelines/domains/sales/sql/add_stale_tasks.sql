-- One task for each period that began at the tick.
insert into crm.tasks (
    organization_id, contact_id, deal_id, owner_id, title, due_at, job, subject, period, created_at
)
select :organization_id, deal.contact_id, deal.id, deal.owner_id, 'Follow up on stale deal', :tick,
       :job, 'deal ' || deal.id, sales.period_of(period.silent_since), :tick
from sales.stale_deals as period
join crm.deals as deal on deal.id = period.deal_id
where period.organization_id = :organization_id and period.stale_at = :tick
order by deal.id
on conflict (organization_id, job, subject, period) do nothing
