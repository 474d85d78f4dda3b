grant usage on schema actions to marketing_reader;
grant select on actions.routes, actions.runs to marketing_reader;
-- Payloads may name anybody.
grant select (
    id, organization_id, type, every, cron, zone, run_at, until, catch_up, state, next_at,
    last_due_at, created_at, ended_at
) on actions.scheduled_actions to marketing_reader;
revoke all on all functions in schema actions from public;
