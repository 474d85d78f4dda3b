-- The types of steps that contacts in hand are due at.
select distinct step.type
from moving
join planned_steps as step using (step_id)
where is_due(moving) and not step.is_blocked
