-- How many contacts of these programs are due, counted up to so many.
select count(*)
from (
    select
    from lifecycle.enrolments
    where program_kind = :kind
        and program_id = any(cast(:programs as bigint[]))
        and status = 'active'
        and next_step_at <= :tick
    limit :most
) as due
