-- The results of the steps of campaigns up to a tick, with the most frequent reasons of contacts who
-- did not go through them; each of the other reasons is an event.
with counted as (
    select step_id, outcome, reason, count(*) as contacts,
           row_number() over (
               partition by step_id, outcome order by count(*) desc, reason collate "C"
           ) as place
    from (
        select result.step_id, result.outcome,
               case when result.outcome not in ('done', 'yes', 'no', 'way') then result.reason end as reason
        from lifecycle.step_results as result
        where result.at <= :tick
            and result.step_id in (
                select id from lifecycle.steps
                where program_kind = 'campaign' and program_id = any(cast(:campaigns as bigint[]))
            )
    ) as result
    group by step_id, outcome, reason
)
select step_id, outcome, case when place <= :reasons then reason end as reason,
       place <= :reasons as is_named, sum(contacts)::bigint as contacts
from counted
group by 1, 2, 3, 4
order by step_id, outcome, min(place)
