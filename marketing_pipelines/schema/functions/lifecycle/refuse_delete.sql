-- Contacts stand at steps: a step that is no longer wanted is switched off, never deleted.
create or replace function lifecycle.refuse_delete() returns trigger
language plpgsql as $$
begin
    raise feature_not_supported using message =
        'steps are never deleted, since contacts stand at them: set enabled to false';
end $$;
