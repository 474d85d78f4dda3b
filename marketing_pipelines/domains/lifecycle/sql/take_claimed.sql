-- Takes some of the copied contacts back.
insert into batch
select enrolment_id, organization_id, program_id, contact_id, rotation, step_id, arrived_at,
       next_step_at, due_at, awaits, status, reason, has_moved, let_in_by, begins_at
from claimed
where place between :first and :last
