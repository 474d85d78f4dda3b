create or replace trigger collect_awaited_after_change
after update on campaigns.sequences
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_endings('sequence');
