create or replace trigger complete_subscription
before insert or update on delivery.subscriptions
for each row execute function delivery.complete_subscription();
