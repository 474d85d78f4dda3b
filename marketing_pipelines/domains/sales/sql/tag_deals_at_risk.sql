-- Puts the tag on every deal that is at risk, also where a file took it off.
update crm.deals as deal
set tags = deal.tags || array['at-risk']
from sales.stale_deals as period
where period.organization_id = :organization_id and period.ended_at is null
    and period.at_risk_at <= :tick and deal.id = period.deal_id
    and not 'at-risk' = any(deal.tags)
