-- Gives the moved contacts their new stage, unless one was changed meanwhile: its moves are dropped.
with changed as (
    update crm.contacts as contact
    set lifecycle_stage = reached.stage, lifecycle_stage_at = :tick
    from reached_stages as reached
    where contact.id = reached.contact_id
        and lower(coalesce(contact.lifecycle_stage, 'lead')) = reached.started
        and contact.manual_override is not true
    returning contact.id
)
delete from stage_moves as move
where not exists (select from changed where changed.id = move.contact_id)
