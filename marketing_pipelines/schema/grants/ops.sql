grant usage on schema ops to marketing_reader;
grant select on
    ops.alerts,
    ops.dead_letters,
    ops.incidents,
    ops.item_failures,
    ops.job_sessions
to marketing_reader;
revoke all on all functions in schema ops from public;
