-- PostgreSQL. The stage of one batch of events; organization, contact and campaign are numbers that
-- the three lists of names explain. Instants are local times of UTC, whatever the session's zone
-- is: Arrow writes them ten times faster so.
create temporary table if not exists loaded_events (
    line bigint,
    event_id text,
    organization integer,
    contact integer,
    campaign integer,
    event_type text,
    occurred_at timestamp,
    received_at timestamp,
    properties jsonb,
    extras jsonb
)
