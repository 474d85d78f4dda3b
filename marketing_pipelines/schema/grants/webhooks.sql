grant usage on schema webhooks to marketing_reader;
-- Keys are for nobody, and addresses may hold some; the data of events may name anybody.
grant select (
    id, organization_id, event_types, state, failures, failing_since, probe_at, quiet_until,
    last_ok_at, disabled_at, created_at
) on webhooks.endpoints to marketing_reader;
grant select (
    id, endpoint_id, event_id, type, contact_id, published_at, state, attempts, status, due_at,
    first_failed_at, ended_at
) on webhooks.deliveries to marketing_reader;
revoke all on all functions in schema webhooks from public;
