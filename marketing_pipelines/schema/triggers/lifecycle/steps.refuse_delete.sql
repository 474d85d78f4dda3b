create or replace trigger refuse_delete
before delete or truncate on lifecycle.steps
for each statement execute function lifecycle.refuse_delete();
