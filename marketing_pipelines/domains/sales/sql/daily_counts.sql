-- The counts of each organization and day, for the days that are asked for: without gaps from the first
-- day on which the metric has a row. Numbers of mails are null on days of which
-- analytics.campaign_daily_stats is not done yet.
with days as materialized (
    select date, "start", "end"
    from unnest(
        cast(:dates as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
    ) as day (date, "start", "end")
),
span as (select min("start") as first, max("end") as last from days),
happened as (
    select organization_id, 'new_contacts' as metric, created_at as at
    from crm.contacts, span
    where source <> 'stub' and created_at >= span.first and created_at < span.last
    union all
    select organization_id, 'new_deals', created_at
    from crm.deals, span
    where status is not null and created_at >= span.first and created_at < span.last
    union all
    select organization_id, 'stage_changes', at
    from crm.deal_stage_history, span
    where from_status is not null and "from" is distinct from "to"
        and at >= span.first and at < span.last
    union all
    select organization_id, 'won_deals', closed_at
    from crm.deals, span
    where status = 'won' and closed_at >= span.first and closed_at < span.last
),
counted as (
    select happened.organization_id, happened.metric, days.date, count(*) as value
    from happened
    join days on happened.at >= days."start" and happened.at < days."end"
    group by 1, 2, 3
),
mails as (
    select stats.organization_id, metric, stats.date, sum(number) as value
    from analytics.campaign_daily_stats as stats
    join days using (date)
    cross join lateral (
        values ('sent', stats.sent), ('delivered', stats.delivered), ('opened', stats.opened),
               ('clicked', stats.clicked)
    ) as numbers (metric, number)
    group by 1, 2, 3
),
-- The first row of each organization, by index.
begun as (
    select organization.id as organization_id, first.metric, first.at
    from crm.organizations as organization
    cross join lateral (
        (
            select 'new_contacts' as metric, created_at as at
            from crm.contacts
            where organization_id = organization.id and source <> 'stub'
            order by created_at
            limit 1
        )
        union all
        (
            select 'new_deals', created_at
            from crm.deals
            where organization_id = organization.id and status is not null
            order by created_at
            limit 1
        )
        union all
        (
            select changes.metric, history.at
            from (
                select at from crm.deal_stage_history
                where organization_id = organization.id
                order by at
                limit 1
            ) as history
            cross join (values ('stage_changes'), ('won_deals')) as changes (metric)
        )
    ) as first
),
begun_mails as (
    select organization_id, min(date) as date from analytics.campaign_daily_stats group by 1
)
select begun.organization_id, begun.metric, days.date,
       cast(coalesce(counted.value, 0) as double precision) as value
from begun
join days on days."end" > begun.at
left join counted using (organization_id, metric, date)
union all
select begun_mails.organization_id, metrics.metric, days.date,
       cast(
           case when finished.partition is not null then coalesce(mails.value, 0) end
           as double precision
       )
from begun_mails
join days on days.date >= begun_mails.date
cross join unnest(array['sent', 'delivered', 'opened', 'clicked']) as metrics (metric)
left join analytics.finished_partitions as finished
    on finished.asset = 'analytics/campaign_daily_stats'
    and finished.partition = to_char(days.date, 'YYYY-MM-DD')
left join mails
    on mails.organization_id = begun_mails.organization_id and mails.metric = metrics.metric
    and mails.date = days.date
