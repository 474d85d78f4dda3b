-- Stages of open deals of an organization in which no deal moved for the days of the setting, at the end
-- of the day. Stages compare without case; a deal that was made moved then.
select lower(deal.stage) as stage, min(deal.stage) as name, deal.pipeline, count(*) as deals,
       sales.whole_days(:end - max(deal.moved_at)) as days
from sales.open_deals(:end) as deal
where deal.organization_id = :organization_id and deal.stage is not null
group by lower(deal.stage), deal.pipeline
having max(deal.moved_at) <= :end - :stuck_days * interval '24 hours'
order by deals desc, stage, deal.pipeline
