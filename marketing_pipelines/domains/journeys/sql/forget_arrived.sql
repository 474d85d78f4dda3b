-- Removes the arrivals that were taken.
delete from lifecycle.event_arrivals as arrival using arrived where arrival.id = arrived.arrival_id
