create or replace trigger mark_touched_hours_after_delete
after delete on analytics.contact_activity
referencing old table as touched
for each statement execute function analytics.mark_touched_hours();
