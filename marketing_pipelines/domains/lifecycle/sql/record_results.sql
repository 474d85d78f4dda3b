-- Notes what the steps came to.
insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at, way)
select enrolment_id, step_id, outcome, reason, :tick, way
from outcomes
where step_id > 0
on conflict do nothing
