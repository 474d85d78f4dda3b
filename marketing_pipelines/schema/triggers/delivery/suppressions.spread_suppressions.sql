create or replace trigger spread_suppressions
after insert on delivery.suppressions
referencing new table as touched
for each statement execute function delivery.spread_suppressions();
