-- The instant of a change of stage or status is that of the file or job; where it names none, that
-- of the load or job itself.
create or replace function crm.stamp_deal() returns trigger
language plpgsql as $$
begin
    new.stage_changed_at := crm.instant_of_changes();
    return new;
end $$;
