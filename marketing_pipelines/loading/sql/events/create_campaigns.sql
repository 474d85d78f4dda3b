-- PostgreSQL. The campaigns of one batch, each once.
create temporary table if not exists event_campaigns (
    number integer,
    organization integer,
    external_id text,
    id bigint
)
