create or replace trigger mark_touched_hours_after_insert
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function analytics.mark_touched_hours();
