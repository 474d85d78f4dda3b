create or replace trigger collect_event_fields
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function segments.collect_event_fields();
