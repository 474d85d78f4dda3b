-- PostgreSQL. Takes the events whose ids are stored already out of the batch. Events that were
-- received earlier than the stored one become corrections. Returns the number taken out and the
-- number of corrections. An id is in the batch once; `limit 1` keeps the planner at one index
-- look-up an event, whatever it believes of the table.
with held as materialized (
    select loaded.ctid as place,
           (loaded.received_at at time zone 'UTC', loaded.occurred_at at time zone 'UTC')
               < (taken.received_at, taken.occurred_at)
               as is_correction
    from loaded_events as loaded
    join event_organizations as organization on organization.number = loaded.organization
    cross join lateral (
        select known.received_at, known.occurred_at
        from analytics.event_keys as known
        where known.organization_id = organization.id and known.event_id = loaded.event_id
        limit 1
    ) as taken
), corrections as (
    insert into loaded_corrections
    select loaded.*
    from loaded_events as loaded
    join held on held.place = loaded.ctid
    where held.is_correction
), removed as (
    delete from loaded_events as loaded
    using held
    where held.place = loaded.ctid
)
select count(*) as repeats, count(*) filter (where is_correction) as corrections from held
