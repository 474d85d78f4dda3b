-- Memberships have no foreign key, which would cost more than writing them.
create or replace function segments.end_memberships() returns trigger
language plpgsql as $$
begin
    delete from segments.memberships where segment_id in (select id from gone);
    return null;
end $$;
