-- What happens to each contact, in its order.
select contact.external_id as contact, happened.at, happened.step, happened.what, happened.reason
from lifecycle.enrolments as enrolment
join crm.contacts as contact on contact.id = enrolment.contact_id
join lateral (
    select enrolment.entered_at as at, -1 as position, 0 as place, null::text as step, 'entered' as what,
           null::text as reason
    where enrolment.entered_at >= :since
    union all
    select result.at, step.position, 1, step.external_id, coalesce(result.way, result.outcome), result.reason
    from lifecycle.step_results as result
    join lifecycle.steps as step on step.id = result.step_id
    where result.enrolment_id = enrolment.id and result.at >= :since
    union all
    select coalesce(message.sent_at, message.due_at), step.position, 2, step.external_id,
           message.channel || ' ' || message.state, message.reason
    from delivery.messages as message
    join lifecycle.steps as step on step.id = message.step_id
    where message.program_kind = enrolment.program_kind
        and message.program_id = enrolment.program_id
        and message.contact_id = enrolment.contact_id and message.rotation = enrolment.rotation
        and message.queued_at >= :since
    union all
    select coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at), 2147483647, 3,
           null, enrolment.status, enrolment.reason
    where enrolment.status <> 'active'
        and coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at) >= :since
) as happened on true
where enrolment.program_kind = :kind and enrolment.program_id = :program
order by enrolment.contact_id, enrolment.rotation, happened.at, happened.position, happened.place
