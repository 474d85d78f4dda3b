create or replace trigger note_subscribers_after_change
after update on delivery.subscriptions
referencing new table as touched
for each statement execute function crm.note_subscribers();
