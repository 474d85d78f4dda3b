-- PostgreSQL. The organizations of one batch, each once.
create temporary table if not exists event_organizations (
    number integer,
    external_id text,
    id bigint
)
