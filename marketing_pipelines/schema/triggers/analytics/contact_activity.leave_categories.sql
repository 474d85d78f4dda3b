create or replace trigger leave_categories
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function delivery.leave_categories();
