create or replace trigger note_new_contacts
after insert on crm.contacts
referencing new table as touched
for each statement execute function crm.note_new_contacts();
