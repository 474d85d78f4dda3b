-- Which way each contact goes, by those for whom the rules of their steps hold.
insert into outcomes
select moving.enrolment_id, moving.step_id,
       case when answer.contact_id is null then 'no' else 'yes' end, null
from moving
join planned_steps as step using (step_id)
left join branch_answers as answer
    on answer.step_id = moving.step_id and answer.contact_id = moving.contact_id
where step.type = :type and is_due(moving)
    and not step.is_blocked
