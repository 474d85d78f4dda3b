create or replace trigger note_zone
after update on crm.organizations
for each row when (old.timezone is distinct from new.timezone)
execute function segments.note_zone();
