create or replace trigger suppress
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function delivery.suppress();
