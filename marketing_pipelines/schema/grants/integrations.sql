grant usage on schema integrations to marketing_reader;
-- Settings may name accounts of other systems; secrets are for nobody.
grant select (
    id, organization_id, provider, external_id, state, last_ok_at, error, changed_at, expires_at,
    refresh_expires_at
) on integrations.connections to marketing_reader;
grant select (
    connection_id, what, tried_at, last_ok_at, last_tick, backlog, next_at, error, overdue_at
) on integrations.syncs to marketing_reader;
revoke all on all functions in schema integrations from public;
