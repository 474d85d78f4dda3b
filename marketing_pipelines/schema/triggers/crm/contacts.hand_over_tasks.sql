create or replace trigger hand_over_tasks
after update on crm.contacts
referencing old table as before_change new table as after_change
for each statement execute function crm.hand_over_tasks();
