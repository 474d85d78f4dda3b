create or replace trigger note_edited
before update on lifecycle.steps
for each row when (
    (old.type, old.config, old.enabled) is distinct from (new.type, new.config, new.enabled)
)
execute function lifecycle.note_edited();
