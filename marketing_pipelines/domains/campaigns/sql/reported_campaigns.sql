-- Campaigns to report on at a tick, those that began last first, with their contacts as of the tick.
with chosen as materialized (
    select campaign.id, campaign.organization_id, campaign.external_id, campaign.name,
           campaign.status, campaign.started_at, campaign.paused_at, campaign.completed_at
    from campaigns.campaigns as campaign
    cross join lateral (
        select from lifecycle.enrolments as enrolment
        where enrolment.program_kind = 'campaign'
            and enrolment.program_id = campaign.id
            and enrolment.entered_at <= :tick
        limit 1
    ) as entered
    where campaign.status in ('active', 'paused')
        or campaign.status = 'completed' and campaign.completed_at > :completed_after
    order by campaign.started_at desc nulls last, campaign.id desc
    limit :most
),
counted as (
    select program_id, count(*) as entered,
           count(*) filter (where ended and status = 'completed') as completed,
           count(*) filter (where ended and status in ('exited', 'canceled')) as exited,
           count(*) filter (where ended and status = 'failed') as failed
    from lifecycle.enrolments
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
       chosen.started_at, chosen.paused_at, chosen.completed_at, entered,
       entered - completed - exited - failed as active, completed, exited, failed
from chosen
join counted on counted.program_id = chosen.id
join crm.organizations as organization on organization.id = chosen.organization_id
order by organization.external_id collate "C", chosen.external_id collate "C"
