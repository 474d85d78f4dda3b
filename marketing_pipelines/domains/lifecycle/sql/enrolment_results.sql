-- The results of the steps of some enrolments, in their order, with the messages that they wrote.
select result.enrolment_id, coalesce(step.external_id, 'entrance') as step, step.type,
       result.outcome, result.way, result.reason, result.at, message.id as message, message.state,
       message.reason as message_reason, message.due_at, message.sent_at
from lifecycle.step_results as result
join lifecycle.enrolments as enrolment on enrolment.id = result.enrolment_id
left join lifecycle.steps as step on step.id = result.step_id
left join delivery.messages as message
    on message.step_id = result.step_id
    and message.contact_id = enrolment.contact_id
    and message.rotation = enrolment.rotation
where result.enrolment_id = any(cast(:enrolments as bigint[]))
order by result.enrolment_id, result.at, step.position, step.id
