-- A contact that has not come to the first step is due when it enters.
create or replace function lifecycle.renew_entrance() returns trigger
language plpgsql as $$
begin
    new.next_step_at := new.entered_at;
    return new;
end $$;
