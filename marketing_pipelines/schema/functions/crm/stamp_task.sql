-- A done task has the instant at which it was done, another none.
create or replace function crm.stamp_task() returns trigger
language plpgsql as $$
begin
    new.done_at := case when new.state = 'done' then crm.instant_of_changes() end;
    return new;
end $$;
