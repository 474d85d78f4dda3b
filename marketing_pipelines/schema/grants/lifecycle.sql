grant usage on schema lifecycle to marketing_reader;
grant select on
    lifecycle.enrolments,
    lifecycle.goals,
    lifecycle.program_counts,
    lifecycle.programs,
    lifecycle.step_results
to marketing_reader;
-- The configuration of a step may hold addresses and tokens of other systems.
grant select (
    id, organization_id, program_kind, program_id, external_id, name, position, type, enabled
) on lifecycle.steps to marketing_reader;
revoke all on all functions in schema lifecycle from public;
