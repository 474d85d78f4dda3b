create or replace trigger collect_awaited_after_change
after update on journey.journeys
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_endings('journey');
