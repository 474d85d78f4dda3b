-- Writes where the contacts in hand stand now, in about the order of the table.
update lifecycle.enrolments as enrolment
set step_id = case when moving.step_id > 0 then moving.step_id end,
    arrived_at = moving.arrived_at,
    next_step_at = moving.next_step_at,
    awaits = moving.awaits,
    status = moving.status,
    completed_at = case when moving.status = 'completed' then :tick else completed_at end,
    exited_at = case when moving.status = 'exited' then :tick else exited_at end,
    failed_at = case when moving.status = 'failed' then :tick else failed_at end,
    reason = moving.reason
from (select * from moving where has_moved order by enrolment_id) as moving
where enrolment.id = moving.enrolment_id
