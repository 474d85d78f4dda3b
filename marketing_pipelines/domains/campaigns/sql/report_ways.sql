-- The ways of the splits of campaigns up to a tick: the contacts that went each, and how many of them
-- were sent a message of the campaign afterwards, opened one, clicked in one or reached the goal.
select result.step_id, result.way as name, count(distinct enrolment.contact_id) as contacts,
       count(distinct enrolment.contact_id) filter (where happened.sent) as sent,
       count(distinct enrolment.contact_id) filter (where happened.opened) as opened,
       count(distinct enrolment.contact_id) filter (where happened.clicked) as clicked,
       count(distinct enrolment.contact_id) filter (where goal.at <= :tick) as goals
from lifecycle.step_results as result
join lifecycle.enrolments as enrolment on enrolment.id = result.enrolment_id
left join lifecycle.goals as goal on goal.enrolment_id = enrolment.id
cross join lateral (
    select bool_or(activity.event_type = 'sent') as sent,
           bool_or(activity.event_type = 'opened') as opened,
           bool_or(activity.event_type = 'clicked') as clicked
    from analytics.contact_activity as activity
    where activity.contact_id = enrolment.contact_id
        and activity.event_type in ('sent', 'opened', 'clicked')
        and activity.source_type = 'campaign'
        and activity.source_id = enrolment.program_id
        and activity.occurred_at >= result.at
        and activity.occurred_at < :tick
) as happened
where result.outcome = 'way'
    and result.at <= :tick
    and result.step_id in (
        select id from lifecycle.steps
        where program_kind = 'campaign'
            and program_id = any(cast(:campaigns as bigint[]))
            and type = 'split'
    )
group by result.step_id, result.way
order by result.step_id, result.way collate "C"
