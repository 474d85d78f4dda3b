-- What the steps came to, by type.
select step.type, outcome, count(*) as number
from outcomes
join planned_steps as step using (step_id)
where step_id > 0
group by step.type, outcome
