-- Writes the history of the moves.
insert into leads.lifecycle_history (organization_id, contact_id, "from", "to", at, tick, reason)
select :organization_id, contact_id, "from", "to", :tick, :tick, reason
from stage_moves
order by contact_id, place
