-- Rights of the analysts' role: reading alone.

-- Views that the role of this migration makes from now on are granted as those of the first release.
alter default privileges in schema analytics grant select on tables to marketing_reader;

-- PostgreSQL lets every role lock, notify, write large objects and messages into the log of
-- changes, and end the sessions of its own name. Only the owner of these functions, a superuser,
-- may withdraw that; without those rights the functions stay open and `doctor` names them.
do $$
declare
    routine regprocedure;
    is_ours boolean;
    left_open integer := 0;
begin
    for routine, is_ours in
        select oid::regprocedure, pg_has_role(proowner, 'usage')
        from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace
            and has_function_privilege('public', oid, 'execute')
            and (proname ~ '^pg_(try_)?advisory_'
                or proname in ('pg_notify', 'pg_logical_emit_message', 'pg_cancel_backend',
                               'pg_terminate_backend', 'lo_creat', 'lo_create', 'lo_from_bytea',
                               'lo_put', 'lo_open', 'lowrite', 'lo_truncate', 'lo_truncate64',
                               'lo_unlink'))
        order by 1
    loop
        if is_ours then
            execute format('grant execute on function %s to current_user', routine);
            execute format('revoke execute on function %s from public', routine);
        else
            left_open := left_open + 1;
        end if;
    end loop;
    if left_open > 0 then
        raise warning '% functions beyond reading stay open to every role', left_open
            using hint = 'A superuser runs the statement on the page for operators.';
    end if;
end $$;

-- Nor are functions of this project for others to call, those of later releases included.
revoke all on all functions in schema
    public, crm, ops, journey, analytics, campaigns, segments, lifecycle, delivery
    from public;
alter default privileges revoke execute on functions from public;
