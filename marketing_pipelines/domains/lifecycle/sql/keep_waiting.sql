-- Lets those wait until their time is out whose event has not happened.
update moving
set next_step_at = moving.arrived_at + make_interval(secs => step.timeout_seconds),
    has_moved = true
from planned_steps as step
where step.step_id = moving.step_id
    and step.type = 'wait_for' and moving.status = 'active' and moving.next_step_at <= :tick
    and not step.is_held
    and moving.enrolment_id not in (select enrolment_id from outcomes)
