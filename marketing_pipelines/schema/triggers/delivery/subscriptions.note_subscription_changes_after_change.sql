create or replace trigger note_subscription_changes_after_change
after update on delivery.subscriptions
referencing new table as touched
for each statement execute function delivery.note_subscription_changes();
