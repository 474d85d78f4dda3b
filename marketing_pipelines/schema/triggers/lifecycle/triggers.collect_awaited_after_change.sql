create or replace trigger collect_awaited_after_change
after update on lifecycle.triggers
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_triggers();
