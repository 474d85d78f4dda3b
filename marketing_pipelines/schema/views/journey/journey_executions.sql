create or replace view journey.journey_executions as
select id, organization_id, program_id as journey_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at as started_at,
       coalesce(completed_at, exited_at, failed_at) as completed_at, reason, trigger_id,
       program_kind
from lifecycle.enrolments
where program_kind = 'journey';
alter view journey.journey_executions alter column program_kind set default 'journey';
comment on view journey.journey_executions is
    'Enrolments of contacts in journeys, with step and status';
comment on column journey.journey_executions.id is 'Execution number';
comment on column journey.journey_executions.journey_id is 'Journey';
comment on column journey.journey_executions.current_step_id is
    'Step that the contact has reached; null = before the first';
comment on column journey.journey_executions.started_at is
    'When the contact entered: the event, else the tick';
comment on column journey.journey_executions.completed_at is 'When it ended, with any status';
