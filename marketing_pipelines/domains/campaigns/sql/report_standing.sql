-- The number of contacts at each step of campaigns at a tick; null = before the first. A contact
-- that has moved since stood at the first step that was done after the tick.
with moved as materialized (
    select distinct on (result.enrolment_id) result.enrolment_id, result.step_id
    from lifecycle.step_results as result
    join lifecycle.steps as step on step.id = result.step_id
    where result.at > :tick
        and step.program_kind = 'campaign'
        and step.program_id = any(cast(:campaigns as bigint[]))
    order by result.enrolment_id, result.at, step.position, step.id
)
select enrolment.program_id as campaign_id,
       coalesce(moved.step_id, enrolment.step_id) as step_id, count(*) as contacts
from lifecycle.enrolments as enrolment
left join moved on moved.enrolment_id = enrolment.id
where enrolment.program_kind = 'campaign'
    and enrolment.program_id = any(cast(:campaigns as bigint[]))
    and enrolment.entered_at <= :tick
    and (enrolment.status = 'active'
         or coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at,
                     enrolment.entered_at) > :tick)
group by 1, 2
