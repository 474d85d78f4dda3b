create or replace trigger note_touched_after_delete
after delete on analytics.contact_activity
referencing old table as touched
for each statement execute function segments.note_touched('contact_id');
