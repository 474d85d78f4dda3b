create or replace trigger collect_awaited_after_insert
after insert on campaigns.campaigns
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_endings('campaign');
