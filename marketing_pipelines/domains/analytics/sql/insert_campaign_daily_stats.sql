-- One row per campaign and day: campaigns that ran that day (zeros included), campaigns with an
-- event that day (from the temporary table `incoming`), campaigns that a contact entered or left.
with days as (
    select date, starts_at, ends_at
    from unnest(
        cast(:dates as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
    ) as day (date, starts_at, ends_at)
),
running as (
    select campaign.id as campaign_id, campaign.organization_id, days.date
    from days
    join campaigns.campaigns as campaign
        on campaign.started_at < days.ends_at
        and campaign.status not in ('draft', 'scheduled', 'imported')
        and (campaign.cancelled_at is null or campaign.cancelled_at >= days.starts_at)
),
-- Counted by campaign alone, so that each index suffices and no row of the table is read.
moves as (
    select campaign_id, date, count(*) as entered, 0 as completed, 0 as exited
    from days
    join campaigns.campaign_contacts on entered_at >= starts_at and entered_at < ends_at
    group by campaign_id, date
    union all
    select campaign_id, date, 0, count(*), 0
    from days
    join campaigns.campaign_contacts on completed_at >= starts_at and completed_at < ends_at
    group by campaign_id, date
    union all
    select campaign_id, date, 0, 0, count(*)
    from days
    join campaigns.campaign_contacts on exited_at >= starts_at and exited_at < ends_at
    group by campaign_id, date
),
enrolments as (
    select campaign_id, campaign.organization_id, date,
           sum(entered) as entered, sum(completed) as completed, sum(exited) as exited
    from moves
    join campaigns.campaigns as campaign on campaign.id = moves.campaign_id
    group by campaign_id, campaign.organization_id, date
)
insert into analytics.campaign_daily_stats (
    campaign_id, organization_id, date,
    sent, delivered, opened, clicked, bounced, complained, unsubscribed, machine_opened,
    unique_sent, unique_delivered, unique_opened, unique_clicked, unique_bounced,
    unique_complained, unique_unsubscribed,
    entered, completed, exited
)
select campaign_id, organization_id, date,
       coalesce(sent, 0), coalesce(delivered, 0), coalesce(opened, 0), coalesce(clicked, 0),
       coalesce(bounced, 0), coalesce(complained, 0), coalesce(unsubscribed, 0),
       coalesce(machine_opened, 0),
       coalesce(unique_sent, 0), coalesce(unique_delivered, 0), coalesce(unique_opened, 0),
       coalesce(unique_clicked, 0), coalesce(unique_bounced, 0), coalesce(unique_complained, 0),
       coalesce(unique_unsubscribed, 0),
       coalesce(entered, 0), coalesce(completed, 0), coalesce(exited, 0)
from running
full join incoming using (campaign_id, organization_id, date)
full join enrolments using (campaign_id, organization_id, date)
order by date, campaign_id
returning date
