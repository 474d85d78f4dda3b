create or replace trigger stamp_task
before insert or update on crm.tasks
for each row when ((new.state = 'done') is distinct from (new.done_at is not null))
execute function crm.stamp_task();
