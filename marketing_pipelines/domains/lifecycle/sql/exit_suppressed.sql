-- Ends enrolments of contacts who unsubscribed, complained, cannot be reached by mail, or of whom a
-- mail bounced, for whatever reason, since they entered.
insert into outcomes
select moving.enrolment_id, moving.step_id, 'exited', left_for.reason
from moving
join lifecycle.enrolments as enrolment on enrolment.id = moving.enrolment_id
cross join lateral lifecycle.reason_to_leave(
    moving.contact_id, enrolment.entered_at, :tick
) as left_for
where moving.status = 'active' and left_for.reason is not null
