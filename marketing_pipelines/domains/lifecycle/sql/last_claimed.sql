-- The last place that was taken from.
select program_id, due_at, enrolment_id
from batch
order by program_id desc, due_at desc, enrolment_id desc
limit 1
