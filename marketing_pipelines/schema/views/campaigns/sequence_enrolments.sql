create or replace view campaigns.sequence_enrolments as
select id, organization_id, program_id as sequence_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at, completed_at, exited_at, failed_at,
       reason, program_kind
from lifecycle.enrolments
where program_kind = 'sequence';
alter view campaigns.sequence_enrolments alter column program_kind set default 'sequence';
comment on view campaigns.sequence_enrolments is
    'Enrolments of contacts in sequences, with step and status';
comment on column campaigns.sequence_enrolments.sequence_id is 'Sequence';
comment on column campaigns.sequence_enrolments.current_step_id is
    'Step that the contact has reached; null = before the first';
