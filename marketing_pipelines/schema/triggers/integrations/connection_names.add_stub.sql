create or replace trigger add_stub
instead of insert on integrations.connection_names
for each row execute function integrations.add_stub();
