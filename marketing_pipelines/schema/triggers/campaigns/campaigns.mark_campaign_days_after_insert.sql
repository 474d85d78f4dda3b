create or replace trigger mark_campaign_days_after_insert
after insert on campaigns.campaigns
referencing new table as touched
for each statement execute function campaigns.mark_campaign_days();
