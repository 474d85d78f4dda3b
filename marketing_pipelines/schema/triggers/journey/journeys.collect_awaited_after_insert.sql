create or replace trigger collect_awaited_after_insert
after insert on journey.journeys
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_endings('journey');
