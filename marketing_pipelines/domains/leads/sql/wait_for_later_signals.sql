-- Keeps the arrivals that hold signals at or after the tick too, for those.
update leads.signal_arrivals as arrival
set first_at = arrival.last_at
from arrived
where arrival.id = arrived.id and arrival.last_at >= :tick
