-- PostgreSQL. Which contact of the database each contact of the batch is; a table of its own
-- because filling it is cheaper than updating the list.
create temporary table if not exists loaded_contact_ids (
    number integer,
    id bigint
)
