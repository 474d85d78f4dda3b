-- PostgreSQL. Where one batch of events lands; organization, contact and campaign are numbers that
-- the three lists beside it explain.
create temporary table if not exists loaded_events (
    line bigint,
    event_id text,
    organization integer,
    contact integer,
    campaign integer,
    event_type text,
    occurred_at timestamptz,
    received_at timestamptz,
    properties jsonb,
    extras jsonb
)
