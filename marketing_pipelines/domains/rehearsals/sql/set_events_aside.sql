-- Takes the loaded events out of the activity.
with loaded as (
    delete from analytics.contact_activity where id >= :first returning *
)
insert into assumed_events select * from loaded
