create or replace trigger join_program
before insert on lifecycle.enrolments
for each row execute function lifecycle.join_program();
