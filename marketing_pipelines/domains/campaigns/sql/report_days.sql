-- Events, entries and exits of campaigns on each of the last days that are over.
with moved as (
    select program_id as campaign_id, day.date,
           count(*) filter (where moved.entered) as entered,
           count(*) filter (where not moved.entered) as finished
    from lifecycle.enrolments as enrolment
    cross join lateral (
        values (enrolment.entered_at, true),
               (coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at), false)
    ) as moved (at, entered)
    join unnest(
            cast(:dates as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
        ) as day (date, starts_at, ends_at)
        on moved.at >= day.starts_at and moved.at < day.ends_at
    where enrolment.program_kind = 'campaign'
        and enrolment.program_id = any(cast(:campaigns as bigint[]))
    group by 1, 2
),
events as (
    select campaign_id, date, sent, opened, clicked
    from analytics.campaign_daily_stats
    where campaign_id = any(cast(:campaigns as bigint[]))
        and date >= cast(:first as date) and date < cast(:after as date)
)
select campaign_id, date, coalesce(sent, 0) as sent, coalesce(opened, 0) as opened,
       coalesce(clicked, 0) as clicked, coalesce(entered, 0) as entered,
       coalesce(finished, 0) as finished
from moved
full join events using (campaign_id, date)
order by campaign_id, date
