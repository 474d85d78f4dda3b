-- The version of a segment counts its rules.
create or replace function segments.count_version() returns trigger
language plpgsql as $$
begin
    new.version := old.version + 1;
    return new;
end $$;
