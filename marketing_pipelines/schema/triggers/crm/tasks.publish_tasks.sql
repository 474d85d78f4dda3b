create or replace trigger publish_tasks
after insert on crm.tasks
referencing new table as touched
for each statement execute function crm.publish_tasks();
