-- Copies the claimed contacts as they were taken, in their order, to move them in parts.
drop table if exists claimed;
create temporary table claimed on commit drop as
select row_number() over (order by program_id, due_at, enrolment_id) as place, batch.*
from batch
