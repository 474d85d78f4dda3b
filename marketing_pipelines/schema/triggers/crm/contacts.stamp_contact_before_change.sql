create or replace trigger stamp_contact_before_change
before update on crm.contacts
for each row when (
    (old.lead_status, old.lifecycle_stage) is distinct from (new.lead_status, new.lifecycle_stage)
)
execute function crm.stamp_contact();
