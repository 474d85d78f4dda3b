create or replace trigger list_attendees_after_change
after update on crm.meetings
referencing old table as before_change new table as after_change
for each statement execute function crm.list_attendees();
