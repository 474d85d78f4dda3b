create or replace trigger stamp_contact_before_insert
before insert on crm.contacts
for each row when (new.lead_status is not null and new.lead_status_at is null)
execute function crm.stamp_contact();
