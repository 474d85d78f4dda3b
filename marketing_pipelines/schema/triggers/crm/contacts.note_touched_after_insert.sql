create or replace trigger note_touched_after_insert
after insert on crm.contacts
referencing new table as touched
for each statement execute function segments.note_touched('id');
