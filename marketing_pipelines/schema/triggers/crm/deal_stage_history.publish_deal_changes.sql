create or replace trigger publish_deal_changes
after insert on crm.deal_stage_history
referencing new table as touched
for each statement execute function crm.publish_deal_changes();
