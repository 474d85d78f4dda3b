create or replace trigger mark_enrolment_days_after_insert
after insert on lifecycle.enrolments
referencing new table as touched
for each statement execute function lifecycle.mark_enrolment_days();
