create or replace trigger count_ended_sessions
after update on ops.job_sessions
referencing old table as began new table as ended
for each statement execute function ops.count_ended_sessions();
