create or replace trigger add_stub
instead of insert on lifecycle.programs
for each row execute function lifecycle.add_stub();
