create or replace trigger note_update
before update on delivery.templates
for each row execute function delivery.note_update();
