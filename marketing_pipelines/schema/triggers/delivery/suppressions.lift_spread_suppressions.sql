create or replace trigger lift_spread_suppressions
after delete on delivery.suppressions
referencing old table as touched
for each statement execute function delivery.lift_spread_suppressions();
