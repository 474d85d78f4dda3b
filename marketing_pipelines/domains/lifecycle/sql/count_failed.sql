-- The number of contacts of a program that failed in the day before the tick.
select count(*)
from lifecycle.enrolments
where program_kind = :kind and program_id = :program and status = 'failed'
    and failed_at > cast(:tick as timestamptz) - interval '1 day'
