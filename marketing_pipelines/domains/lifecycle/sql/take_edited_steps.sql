-- The steps of a kind that changed since the last pass, without steps that are being changed.
with edited as materialized (
    select id
    from lifecycle.steps
    where program_kind = :kind and is_edited
    order by id
    for update skip locked
)
update lifecycle.steps as step
set is_edited = false
from edited
where step.id = edited.id
returning step.id, step.program_id, step.type, step.config::text as config, step.enabled
