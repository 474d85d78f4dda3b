create or replace trigger mark_enrolment_days_after_delete
after delete on lifecycle.enrolments
referencing old table as touched
for each statement execute function lifecycle.mark_enrolment_days();
