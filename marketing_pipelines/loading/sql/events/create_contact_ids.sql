-- PostgreSQL. The contact of the database for each contact of the batch; a table of its own because
-- filling it is cheaper than updating the list.
create temporary table if not exists event_contact_ids (
    number integer,
    id bigint
)
