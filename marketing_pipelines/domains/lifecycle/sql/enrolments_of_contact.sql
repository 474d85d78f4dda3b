-- The latest times that a contact was in a program, with how many there were.
select enrolment.id, enrolment.rotation, enrolment.status, enrolment.step_id,
       coalesce(enrolment.arrived_at, enrolment.entered_at) as since, enrolment.next_step_at,
       is_due(enrolment) as is_due,
       enrolment.entered_at, enrolment.reason, trigger.external_id as trigger,
       case when trigger.type = 'event' then enrolment.entry end as let_in_by,
       coalesce(enrolment.completed_at, enrolment.exited_at, enrolment.failed_at) as ended_at,
       count(*) over () as number
from lifecycle.enrolments as enrolment
left join lifecycle.triggers as trigger on trigger.id = enrolment.trigger_id
where enrolment.program_kind = :kind
    and enrolment.program_id = :program
    and enrolment.contact_id = :contact
order by enrolment.rotation desc
limit :most
