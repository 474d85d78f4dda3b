-- The contacts of the program by status and reason.
select status, reason, count(*) as contacts
from lifecycle.enrolments
where program_kind = :kind and program_id = :program
group by 1, 2
order by 3 desc, 1, 2
