create or replace trigger mark_enrolment_days_after_change
after update on lifecycle.enrolments
for each row when (
    new.program_kind = 'campaign'
    and (old.entered_at, old.completed_at, old.exited_at, old.program_id)
        is distinct from (new.entered_at, new.completed_at, new.exited_at, new.program_id)
    and current_setting('lifecycle.marks_days', true) is distinct from 'by itself'
)
execute function lifecycle.mark_changed_enrolment_days();
