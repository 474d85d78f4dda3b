-- Writes the places of the claimed contacts, in about the order of the table.
update lifecycle.enrolments as enrolment
set step_id = case when batch.step_id > 0 then batch.step_id end,
    arrived_at = batch.arrived_at,
    next_step_at = batch.next_step_at,
    awaits = batch.awaits,
    status = batch.status,
    completed_at = case when batch.status = 'completed' then :tick else completed_at end,
    exited_at = case when batch.status = 'exited' then :tick else exited_at end,
    failed_at = case when batch.status = 'failed' then :tick else failed_at end,
    reason = batch.reason
from (select * from batch where has_moved order by enrolment_id) as batch
where enrolment.id = batch.enrolment_id
