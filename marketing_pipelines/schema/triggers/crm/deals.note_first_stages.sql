create or replace trigger note_first_stages
after insert on crm.deals
referencing new table as after_change
for each statement execute function crm.note_first_stages();
