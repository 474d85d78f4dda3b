-- Campaigns to report on at a tick, the latest start first, with their contacts as of the tick: all
-- with activity on the shown days, and active or just completed ones with contacts.
with happened as materialized (
    select distinct campaign_id
    from analytics.campaign_daily_stats
    where date >= cast(:first as date) and date < cast(:after as date)
        and sent + delivered + opened + clicked + bounced + complained + unsubscribed
            + entered + completed + exited > 0
),
chosen as materialized (
    select campaign.id, campaign.organization_id, campaign.external_id, campaign.name,
           campaign.status, campaign.started_at, campaign.paused_at, campaign.completed_at,
           campaign.goal is not null as has_goal
    from campaigns.campaigns as campaign
    where campaign.id in (select campaign_id from happened)
        or (campaign.status in ('active', 'paused')
            or campaign.status = 'completed' and campaign.completed_at >= :completed_from)
        and exists (
            select from lifecycle.enrolments as enrolment
            where enrolment.program_kind = 'campaign'
                and enrolment.program_id = campaign.id
                and enrolment.entered_at <= :tick
            limit 1
        )
    order by campaign.started_at desc nulls last, campaign.id desc
    limit :most
),
counted as (
    select program_id, count(*) as entered,
           count(*) filter (where ended and status = 'completed') as completed,
           count(*) filter (where ended and status in ('exited', 'canceled')) as exited,
           count(*) filter (where ended and status = 'failed') as failed,
           count(*) filter (where goal.at <= :tick) as goals
    from lifecycle.enrolments
    left join lifecycle.goals as goal on goal.enrolment_id = enrolments.id
    cross join lateral (
        select coalesce(completed_at, exited_at, failed_at, entered_at) <= :tick as ended
    ) as by_then
    where program_kind = 'campaign'
        and program_id in (select id from chosen)
        and entered_at <= :tick
    group by program_id
)
select chosen.id, organization.external_id as organization,
       coalesce(organization.name, organization.external_id) as organization_name,
       chosen.external_id, coalesce(chosen.name, chosen.external_id) as name, chosen.status,
       chosen.started_at, chosen.paused_at, chosen.completed_at,
       coalesce(entered, 0) as entered,
       coalesce(entered - completed - exited - failed, 0) as active,
       coalesce(completed, 0) as completed, coalesce(exited, 0) as exited,
       coalesce(failed, 0) as failed, coalesce(goals, 0) as goals, chosen.has_goal
from chosen
left join counted on counted.program_id = chosen.id
join crm.organizations as organization on organization.id = chosen.organization_id
order by organization.external_id collate "C", chosen.external_id collate "C"
