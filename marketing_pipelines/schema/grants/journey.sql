grant usage on schema journey to marketing_reader;
grant select on
    journey.execution_logs,
    journey.journey_executions,
    journey.journey_triggers,
    journey.journeys
to marketing_reader;
revoke all on all functions in schema journey from public;
