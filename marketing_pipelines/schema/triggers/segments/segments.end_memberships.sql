create or replace trigger end_memberships
after delete on segments.segments
referencing old table as gone
for each statement execute function segments.end_memberships();
