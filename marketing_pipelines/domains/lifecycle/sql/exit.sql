-- Ends the program for contacts at an exit.
insert into outcomes
select enrolment_id, step_id, 'exited', coalesce(step.config ->> 'reason', 'exit step')
from batch
join planned_steps as step using (step_id)
where step.type = :type and is_due(batch)
    and not step.is_blocked
