-- Notes when a row changed.
create or replace function delivery.note_update() returns trigger
language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;
