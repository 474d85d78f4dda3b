-- The steps of the program in their order, each with its contacts by outcome, and those that wait
-- there at the end.
select step.external_id as step, step.type, result.outcome, result.contacts, result.first_at,
       result.last_at
from lifecycle.steps as step
join lateral (
    select coalesce(own.way, own.outcome) as outcome, count(*) as contacts,
           min(own.at) as first_at, max(own.at) as last_at
    from lifecycle.step_results as own
    where own.step_id = step.id and own.at >= :since
    group by 1
    union all
    select 'waiting', count(*), min(arrived_at), max(arrived_at)
    from lifecycle.enrolments
    where step_id = step.id and status = 'active'
    having count(*) > 0
) as result on true
where step.program_kind = :kind and step.program_id = :program
order by step.position, step.id, result.contacts desc, result.outcome
