create or replace trigger refuse_update
before truncate on analytics.contact_activity
for each statement execute function analytics.refuse_update();
