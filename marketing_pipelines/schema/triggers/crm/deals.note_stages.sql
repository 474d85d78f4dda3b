create or replace trigger note_stages
after update on crm.deals
referencing old table as before_change new table as after_change
for each statement execute function crm.note_stages();
