create or replace trigger mark_campaign_days_after_change
after update on campaigns.campaigns
referencing old table as before_change new table as after_change
for each statement execute function campaigns.mark_campaign_days();
