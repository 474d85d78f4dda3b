-- Puts the tag on every deal that is at risk, also where a file took it off, and takes it off a deal in a
-- stage that is never stale. The stage is that of now, as the tag is, not that of a past tick.
with stages as (
    select lower(key) as stage, cast(value as integer) as days
    from jsonb_each_text(cast(:days as jsonb))
),
lasting as (
    select period.deal_id, coalesce(stages.days, :default_days) > 0 as is_at_risk
    from sales.stale_deals as period
    join crm.deals as deal on deal.id = period.deal_id
    left join stages on stages.stage = lower(deal.stage)
    where period.organization_id = :organization_id and period.ended_at is null
        and period.at_risk_at <= :tick
)
update crm.deals as deal
set tags = case when lasting.is_at_risk then deal.tags || array['at-risk']
    else array_remove(deal.tags, 'at-risk') end
from lasting
where deal.id = lasting.deal_id and lasting.is_at_risk <> ('at-risk' = any(deal.tags))
