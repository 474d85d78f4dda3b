create or replace trigger claim_event_keys
after insert on analytics.contact_activity
referencing new table as inserted
for each statement execute function analytics.claim_event_keys();
