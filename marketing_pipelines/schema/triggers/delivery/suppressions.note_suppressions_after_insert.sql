create or replace trigger note_suppressions_after_insert
after insert on delivery.suppressions
referencing new table as touched
for each statement execute function lifecycle.note_suppressions();
