create or replace trigger tell_consumers
after insert on ops.bus_events
referencing new table as published
for each statement execute function ops.tell_consumers();
