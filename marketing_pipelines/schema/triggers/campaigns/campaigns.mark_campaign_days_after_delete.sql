create or replace trigger mark_campaign_days_after_delete
after delete on campaigns.campaigns
referencing old table as touched
for each statement execute function campaigns.mark_campaign_days();
