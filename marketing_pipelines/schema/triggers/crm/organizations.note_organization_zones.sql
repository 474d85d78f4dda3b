create or replace trigger note_organization_zones
after update on crm.organizations
referencing old table as before_change new table as after_change
for each statement execute function lifecycle.note_organization_zones();
