-- PostgreSQL. The contacts of one batch, each once.
create temporary table if not exists loaded_contacts (
    number integer,
    organization integer,
    external_id text
)
