create or replace trigger note_named_contacts
after update on crm.contacts
referencing new table as touched
for each statement execute function crm.note_named_contacts();
