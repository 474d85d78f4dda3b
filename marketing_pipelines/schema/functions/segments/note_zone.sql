-- In another time zone every local day of every rule is another, so all contacts are evaluated.
create or replace function segments.note_zone() returns trigger
language plpgsql as $$
begin
    insert into segments.touched_contacts (organization_id) values (new.id);
    return null;
end $$;
