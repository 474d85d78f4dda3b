-- The instants at which lead status and stage change are those of the file or job; where it names
-- none, that of the load or job itself. A new contact has its stage since `created_at`.
create or replace function crm.stamp_contact() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        new.lead_status_at := crm.instant_of_changes();
        return new;
    end if;
    if new.lead_status is distinct from old.lead_status
        and new.lead_status_at is not distinct from old.lead_status_at
    then
        new.lead_status_at := crm.instant_of_changes();
    end if;
    if new.lifecycle_stage is distinct from old.lifecycle_stage
        and new.lifecycle_stage_at is not distinct from old.lifecycle_stage_at
    then
        new.lifecycle_stage_at := crm.instant_of_changes();
    end if;
    return new;
end $$;
