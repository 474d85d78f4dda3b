-- Null for the events of before: when they arrived is not known.
alter table analytics.contact_activity add column inserted_at timestamptz;
alter table analytics.contact_activity alter column inserted_at set default now();

alter table lifecycle.triggers drop constraint ck_triggers_policy;
alter table lifecycle.triggers add constraint ck_triggers_policy
    check (policy in ('once', 'each_entry', 'unless_active', 'backfill'));
