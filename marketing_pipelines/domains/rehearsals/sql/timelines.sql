-- The timeline of each contact: its entry, results of steps, messages and end, in their order.
with own as materialized (
    select enrolment.id, enrolment.contact_id, contact.external_id as contact, enrolment.rotation,
           enrolment.entered_at, enrolment.status, enrolment.reason,
           coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at) as ended_at
    from lifecycle.enrolments as enrolment
    join crm.contacts as contact on contact.id = enrolment.contact_id
    where enrolment.program_kind = :kind and enrolment.program_id = :program
),
happened as (
    select id, entered_at as at, -1 as position, 0 as place, null::text as step, 'entered' as what,
           null::text as reason
    from own
    where entered_at >= :since
    union all
    select own.id, result.at, step.position, 1, step.external_id,
           coalesce(result.way, result.outcome), result.reason
    from own
    join lifecycle.step_results as result on result.enrolment_id = own.id
    join lifecycle.steps as step on step.id = result.step_id
    where result.at >= :since
    union all
    select own.id, coalesce(message.sent_at, message.due_at), step.position, 2, step.external_id,
           message.channel || ' ' || message.state, message.reason
    from own
    join delivery.messages as message
        on message.contact_id = own.contact_id and message.rotation = own.rotation
        and message.program_kind = :kind and message.program_id = :program
    join lifecycle.steps as step on step.id = message.step_id
    where message.queued_at >= :since
    union all
    select id, ended_at, 2147483647, 3, null, status, reason
    from own
    where status <> 'active' and ended_at >= :since
)
select own.contact, happened.at, happened.step, happened.what, happened.reason
from happened
join own using (id)
order by own.contact_id, own.rotation, happened.at, happened.position, happened.place
