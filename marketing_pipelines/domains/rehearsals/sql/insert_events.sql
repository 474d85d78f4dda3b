-- Lets the events happen that are due; each is received when it occurs.
with due as (
    delete from assumed_events where occurred_at <= :now returning *
)
insert into analytics.contact_activity (
    id, organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
    received_at, properties
)
select id, organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
       occurred_at, properties
from due
