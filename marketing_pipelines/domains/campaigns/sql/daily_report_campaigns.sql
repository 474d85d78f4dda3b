-- The numbers of each campaign with activity in a period, and those of the same weekdays a week before.
select stats.organization_id, coalesce(campaign.name, campaign.external_id) as name,
       part.is_period,
       sum(sent) as sent, sum(delivered) as delivered, sum(opened) as opened,
       sum(clicked) as clicked, sum(bounced) as bounced, sum(complained) as complained,
       sum(unsubscribed) as unsubscribed, campaign.id as campaign_id
from analytics.campaign_daily_stats as stats
join campaigns.campaigns as campaign on campaign.id = stats.campaign_id
cross join lateral (select stats.date >= :first as is_period) as part
where (stats.date between :first and :last
       or stats.date between cast(:first as date) - 7 and cast(:last as date) - 7)
    and sent + delivered + opened + clicked + bounced + complained + unsubscribed
        + entered + completed + exited > 0
group by 1, 2, 3, campaign.id
order by 1, sum(sent) desc, 2, campaign.id
