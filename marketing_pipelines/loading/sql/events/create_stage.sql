-- PostgreSQL. Where one batch of events lands before ids are looked up.
create temporary table if not exists events_stage (
    line bigint,
    event_id text,
    organization_id text,
    contact_id text,
    event_type text,
    event_source text,
    occurred_at timestamptz,
    received_at timestamptz,
    properties jsonb,
    extras jsonb
)
