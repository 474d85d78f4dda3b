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
    'How many contacts entered each program and where they are; those canceled count as exited';
comment on column lifecycle.program_counts.entered is 'Enrolments ever';
comment on column lifecycle.program_counts.active is 'Those under way';
comment on column lifecycle.program_counts.completed is 'Those that went through the last step';
comment on column lifecycle.program_counts.exited is
    'Those that left before, canceled ones included';
comment on column lifecycle.program_counts.failed is 'Those for whom a step could not be done';
