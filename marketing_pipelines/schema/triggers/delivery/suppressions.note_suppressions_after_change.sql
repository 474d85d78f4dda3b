create or replace trigger note_suppressions_after_change
after update on delivery.suppressions
referencing new table as touched
for each statement execute function lifecycle.note_suppressions();
