grant usage on schema exports to marketing_reader;
-- Neither conditions and names of callers nor files.
grant select (
    id, organization_id, kind, format, state, expected_rows, rows, size, created_at, started_at,
    ended_at, expires_at
) on exports.requests to marketing_reader;
revoke all on all functions in schema exports from public;
