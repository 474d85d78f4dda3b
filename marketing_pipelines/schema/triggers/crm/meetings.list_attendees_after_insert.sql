create or replace trigger list_attendees_after_insert
after insert on crm.meetings
referencing new table as after_change
for each statement execute function crm.list_attendees();
