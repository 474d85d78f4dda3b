create or replace trigger refuse_change
after update on analytics.contact_activity
referencing old table as before_change new table as after_change
for each statement execute function analytics.refuse_change();
