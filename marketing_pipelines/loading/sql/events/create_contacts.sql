-- PostgreSQL. The contacts of one batch, each once.
create temporary table if not exists event_contacts (
    number integer,
    organization integer,
    external_id text
)
