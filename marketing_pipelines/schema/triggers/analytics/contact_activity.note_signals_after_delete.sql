create or replace trigger note_signals_after_delete
after delete on analytics.contact_activity
referencing old table as touched
for each statement execute function leads.note_signals();
