create or replace trigger renew_entrance
before update on lifecycle.enrolments
for each row when (
    new.status = 'active' and new.step_id is null
    and old.entered_at is distinct from new.entered_at
    and old.next_step_at is not distinct from new.next_step_at
)
execute function lifecycle.renew_entrance();
