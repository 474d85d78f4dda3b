-- The branch of each contact: `yes` if the rule of its step holds for it, else `no`.
insert into outcomes
select batch.enrolment_id, batch.step_id,
       case when answer.contact_id is null then 'no' else 'yes' end, null
from batch
join planned_steps as step using (step_id)
left join branch_answers as answer
    on answer.question_id = batch.step_id and answer.contact_id = batch.contact_id
where step.type = :type and is_due(batch)
    and not step.is_blocked
