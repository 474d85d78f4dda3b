-- Ends enrolments of contacts who unsubscribed, complained, cannot be reached by mail, or whose
-- mail bounced, for any reason, since they entered.
insert into outcomes
select batch.enrolment_id, batch.step_id, 'exited', left_for.reason
from batch
join lifecycle.enrolments as enrolment on enrolment.id = batch.enrolment_id
cross join lateral lifecycle.reason_to_leave(
    batch.contact_id, enrolment.entered_at, :tick
) as left_for
where batch.status = 'active' and left_for.reason is not null
