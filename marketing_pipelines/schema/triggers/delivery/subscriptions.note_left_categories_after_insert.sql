create or replace trigger note_left_categories_after_insert
after insert on delivery.subscriptions
referencing new table as touched
for each statement execute function lifecycle.note_left_categories();
