-- Takes what was touched, as far as the snapshot sees it, into the stage `touched`; returns how many
-- contacts that are, and whether it was said of everybody.
with taken as (
    delete from segments.touched_contacts where organization_id = :organization_id
    returning contact_ids
), staged as (
    insert into touched
    select distinct contact_id from taken cross join unnest(contact_ids) as contact_id
    returning contact_id
)
select (select count(*) from staged) as contacts,
       exists (select from taken where contact_ids is null) as everybody
