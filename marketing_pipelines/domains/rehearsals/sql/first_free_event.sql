-- The number of the next stored event.
select nextval('analytics.contact_activity_id_seq')
