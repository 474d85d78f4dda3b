-- The oldest arrivals of an organization before the tick.
select id, contact_id, first_at, least(last_at, :tick) as last_at
from leads.signal_arrivals
where organization_id = :organization_id and first_at < :tick
order by id
limit :size
