-- The next pass of the kind looks at the enrolments of an edited step.
create or replace function lifecycle.note_edited() returns trigger
language plpgsql as $$
begin
    new.is_edited := true;
    return new;
end $$;
