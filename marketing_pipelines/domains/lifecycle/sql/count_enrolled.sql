-- The number of contacts under way in a program.
select count(*)
from lifecycle.enrolments
where program_kind = :kind and program_id = :program and status = 'active'
