-- How many contacts of a program were taken out of it lately.
select count(*)
from lifecycle.enrolments
where program_kind = :kind and program_id = :program and status = 'failed'
    and failed_at > cast(:tick as timestamptz) - interval '1 day'
