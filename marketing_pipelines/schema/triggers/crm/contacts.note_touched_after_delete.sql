create or replace trigger note_touched_after_delete
after delete on crm.contacts
referencing old table as touched
for each statement execute function segments.note_touched('id');
