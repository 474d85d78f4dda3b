-- PostgreSQL. Makes the corrections the batch.
with taken as (
    delete from loaded_corrections returning *
), stored as (
    delete from loaded_events
)
insert into loaded_events select * from taken
