-- The steps of a type at which claimed contacts are due.
select distinct step.step_id
from batch
join planned_steps as step using (step_id)
where step.type = :type and is_due(batch)
    and not step.is_blocked
