-- Steps that only let pass: the entrance, those switched off, waits that are over.
insert into outcomes
select enrolment_id, step_id, case when :type = 'off' then 'skipped' else 'done' end,
       case when :type = 'off' then 'switched off' end
from batch
join planned_steps as step using (step_id)
where step.type = :type and is_due(batch)
    and not step.is_blocked
