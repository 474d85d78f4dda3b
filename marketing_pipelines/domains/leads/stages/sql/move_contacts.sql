-- Gives the moved contacts their new stage, unless one was changed meanwhile: its moves are dropped.
-- In the order of the contacts, so that two statements do not wait for each other.
with locked as materialized (
    select reached.*
    from reached_stages as reached
    join crm.contacts as contact on contact.id = reached.contact_id
    order by contact.id
    for no key update of contact
),
changed as (
    update crm.contacts as contact
    set lifecycle_stage = reached.stage, lifecycle_stage_at = :tick
    from locked as reached
    where contact.id = reached.contact_id
        and lower(coalesce(contact.lifecycle_stage, 'lead')) = reached.started
        and contact.manual_override is not true
    returning contact.id
)
delete from stage_moves as move
where not exists (select from changed where changed.id = move.contact_id)
