-- Campaign days whose counts contradict each other: more delivered than sent so far, or opens and
-- clicks of a campaign of which nothing was ever sent or delivered. The first ten, with the number of
-- all.
with totals as (
    select campaign_id, organization_id, sum(sent) as ever_sent, sum(delivered) as ever_delivered
    from analytics.campaign_daily_stats
    where campaign_id in (
        select campaign_id from analytics.campaign_daily_stats
        where date = any(cast(:dates as date[])) and delivered + opened + clicked > 0
    )
    and date <= (select max(date) from unnest(cast(:dates as date[])) as date)
    group by campaign_id, organization_id
)
select campaign.external_id as campaign,
       stats.date,
       case
           when totals.ever_sent = 0 then 'opens or clicks or deliveries, but nothing was sent'
           when totals.ever_delivered > totals.ever_sent then 'more delivered than sent'
           else 'opens or clicks, but nothing was delivered'
       end as reason,
       count(*) over () as total
from analytics.campaign_daily_stats as stats
join totals using (campaign_id, organization_id)
join campaigns.campaigns as campaign on campaign.id = stats.campaign_id
where stats.date = any(cast(:dates as date[]))
    and stats.delivered + stats.opened + stats.clicked > 0
    and (
        totals.ever_sent = 0
        or totals.ever_delivered > totals.ever_sent
        or totals.ever_delivered = 0
    )
order by stats.date, stats.campaign_id
limit 10
