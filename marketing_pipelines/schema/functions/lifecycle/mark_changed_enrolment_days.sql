-- Marks the campaign days of one changed enrolment. Nearly all changes are steps forward, which no
-- day counts, so the trigger calls this for few rows. The step engine, which ends very many
-- enrolments at one instant, marks the day once and sets `lifecycle.marks_days`.
create or replace function lifecycle.mark_changed_enrolment_days() returns trigger
language plpgsql as $$
begin
    perform lifecycle.mark_days(array[
        old.entered_at, old.completed_at, old.exited_at,
        new.entered_at, new.completed_at, new.exited_at
    ]);
    return null;
end $$;
