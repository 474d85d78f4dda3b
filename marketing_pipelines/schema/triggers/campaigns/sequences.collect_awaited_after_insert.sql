create or replace trigger collect_awaited_after_insert
after insert on campaigns.sequences
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_endings('sequence');
