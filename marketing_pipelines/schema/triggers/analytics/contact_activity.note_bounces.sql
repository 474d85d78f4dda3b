create or replace trigger note_bounces
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function lifecycle.note_bounces();
