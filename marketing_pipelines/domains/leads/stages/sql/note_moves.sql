-- Notes the moves of the contacts that a rule moves, and the stage that they have reached.
with moved as (
    insert into stage_moves (contact_id, place, "from", "to", reason)
    select contact_id, :place, :before, :to, :reason
    from stage_movers
    returning contact_id
)
insert into reached_stages (contact_id, stage, started)
select contact_id, :to, :before
from moved
on conflict (contact_id) do update set stage = excluded.stage
