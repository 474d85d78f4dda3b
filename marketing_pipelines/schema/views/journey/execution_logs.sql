create or replace view journey.execution_logs as
select enrolment_id as execution_id, enrolment.organization_id, enrolment.program_id as journey_id,
       result.step_id, step.external_id as step,
       case when outcome in ('canceled', 'failed') then 'warning' else 'info' end as level,
       outcome, coalesce(result.reason, outcome) as message, result.at as created_at, result.way
from lifecycle.step_results as result
join lifecycle.enrolments as enrolment on enrolment.id = enrolment_id
left join lifecycle.steps as step on step.id = result.step_id
where enrolment.program_kind = 'journey';
comment on view journey.execution_logs is
    'Log of journey executions, step by step; a warning if one was canceled or failed';
comment on column journey.execution_logs.execution_id is 'Execution';
comment on column journey.execution_logs.journey_id is 'Journey';
comment on column journey.execution_logs.step is 'Name of the step in its journey';
comment on column journey.execution_logs.level is
    'info, or warning if it was canceled or failed';
comment on column journey.execution_logs.message is 'Reason of the outcome, else the outcome';
comment on column journey.execution_logs.created_at is 'Tick at which it happened';
comment on column journey.execution_logs.way is 'Name of the way that the contact went from a split';
