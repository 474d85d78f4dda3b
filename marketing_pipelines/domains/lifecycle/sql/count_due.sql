-- The number of contacts of these programs that are due, counted up to a limit.
select count(*)
from (
    select
    from lifecycle.enrolments as enrolment
    where program_kind = :kind
        and program_id = any(cast(:programs as bigint[]))
        and is_due(enrolment)
    limit :most
) as due
