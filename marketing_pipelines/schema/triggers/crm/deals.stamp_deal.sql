create or replace trigger stamp_deal
before update on crm.deals
for each row when (
    (old.stage, old.status) is distinct from (new.stage, new.status)
    and new.stage_changed_at is not distinct from old.stage_changed_at
)
execute function crm.stamp_deal();
