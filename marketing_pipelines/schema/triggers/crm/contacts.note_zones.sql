create or replace trigger note_zones
after update on crm.contacts
referencing old table as before_change new table as after_change
for each statement execute function lifecycle.note_zones();
