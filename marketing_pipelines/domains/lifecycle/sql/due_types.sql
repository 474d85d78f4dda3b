-- The types of steps at which claimed contacts are due.
select distinct step.type
from batch
join planned_steps as step using (step_id)
where is_due(batch) and not step.is_blocked
