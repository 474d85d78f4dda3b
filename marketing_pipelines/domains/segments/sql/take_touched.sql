-- Takes the touched contacts that the snapshot sees into the stage `touched`; returns their number,
-- and true if all contacts are touched.
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
