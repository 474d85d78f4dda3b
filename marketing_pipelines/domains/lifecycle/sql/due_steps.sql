-- The steps of a type at which contacts in hand are due.
select distinct step.step_id
from moving
join planned_steps as step using (step_id)
where step.type = :type and moving.status = 'active' and moving.next_step_at <= :tick
    and not step.is_held
