-- Drops the open tasks of deals that moved into a stage that is never stale. The stage is that of now.
with stages as (
    select lower(key) as stage, cast(value as integer) as days
    from jsonb_each_text(cast(:days as jsonb))
)
update crm.tasks as task
set state = 'dropped'
from sales.stale_deals as period
join crm.deals as deal on deal.id = period.deal_id
left join stages on stages.stage = lower(deal.stage)
where period.organization_id = :organization_id and period.ended_at is null
    and period.stale_at <= :tick and coalesce(stages.days, :default_days) = 0
    and task.organization_id = :organization_id and task.job = :job
    and task.subject = 'deal ' || deal.id and task.period = sales.period_of(period.silent_since)
    and task.state = 'open'
