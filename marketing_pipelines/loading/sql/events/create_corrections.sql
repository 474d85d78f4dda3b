-- PostgreSQL. Events of one batch that take the place of a stored one.
create temporary table if not exists loaded_corrections (like loaded_events)
