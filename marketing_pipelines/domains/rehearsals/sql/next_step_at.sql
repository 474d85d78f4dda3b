-- The next instant at which a contact of the program is due. Contacts that are due already and were
-- not moved wait at a step that cannot be done.
select min(next_step_at)
from (
    select min(next_step_at) as next_step_at
    from lifecycle.enrolments
    where program_kind = :kind and program_id = :program and status = 'active'
        and next_step_at > :now
    union all
    select started_at
    from lifecycle.programs
    where kind = :kind and id = :program and status = 'scheduled' and started_at > :now
) as found
