-- Locks the tables whose rows lose their connection when it is removed, before the connection: their
-- writers lock a row first and its connection afterwards.
create or replace function integrations.lock_users() returns void
language plpgsql as $$
declare
    used_by regclass;
begin
    for used_by in
        select conrelid
        from pg_constraint
        where contype = 'f' and confrelid = 'integrations.connections'::regclass
            and confdeltype = 'n'
        order by conrelid
    loop
        execute format('lock table %s in share row exclusive mode', used_by);
    end loop;
end $$;
