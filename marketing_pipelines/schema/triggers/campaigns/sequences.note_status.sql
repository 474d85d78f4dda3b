create or replace trigger note_status
before insert or update on campaigns.sequences
for each row execute function lifecycle.note_status();
