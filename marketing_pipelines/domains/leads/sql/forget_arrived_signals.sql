-- Removes the arrivals that were taken.
delete from leads.signal_arrivals as arrival
using arrived
where arrival.id = arrived.id and arrival.last_at < :tick
