create or replace trigger note_signals
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function leads.note_signals();
