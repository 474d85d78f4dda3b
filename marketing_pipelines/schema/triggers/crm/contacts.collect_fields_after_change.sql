create or replace trigger collect_fields_after_change
after update on crm.contacts
referencing new table as touched
for each statement execute function segments.collect_fields();
