create or replace view lifecycle.program_counts as
select program_kind, program_id, organization_id,
       count(*) as entered,
       count(*) filter (where status = 'active') as active,
       count(*) filter (where status = 'completed') as completed,
       count(*) filter (where status in ('exited', 'canceled')) as exited,
       count(*) filter (where status = 'failed') as failed
from lifecycle.enrolments
group by program_kind, program_id, organization_id;
comment on view lifecycle.program_counts is
    'Numbers of contacts of each program, by status; canceled ones count as exited';
comment on column lifecycle.program_counts.entered is 'Enrolments ever';
comment on column lifecycle.program_counts.active is 'Active enrolments';
comment on column lifecycle.program_counts.completed is 'Enrolments that completed the last step';
comment on column lifecycle.program_counts.exited is
    'Enrolments that ended before, canceled ones included';
comment on column lifecycle.program_counts.failed is 'Enrolments that ended because a step failed';
