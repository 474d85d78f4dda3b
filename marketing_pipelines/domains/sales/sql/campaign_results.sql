-- Campaigns with mail on the day, the largest first; at most 20 of each organization.
select organization_id, id, name, sent, delivered, opened, clicked
from (
    select stats.organization_id, stats.campaign_id as id,
           coalesce(campaign.name, campaign.external_id) as name, stats.sent, stats.delivered,
           stats.opened, stats.clicked,
           row_number() over (
               partition by stats.organization_id order by stats.sent desc, stats.campaign_id
           ) as place
    from analytics.campaign_daily_stats as stats
    join campaigns.campaigns as campaign on campaign.id = stats.campaign_id
    where stats.date = :date and greatest(stats.sent, stats.delivered, stats.opened, stats.clicked) > 0
) as ranked
where place <= 20
order by organization_id, place
