"""The sensor that requests evaluations between the full hours."""

import dagster as dg

from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.domains.segments.jobs import memberships
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import job_name, request_if, sensor


@sensor(
    job_name=job_name(memberships.key.to_user_string()),
    seconds=60,
    while_off="Segments change at full hours only.",
)
def touched_contacts_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Requests an evaluation when contacts were touched or rules changed.

    It has no cursor to lose: touched contacts stay stored until an evaluation has taken them.
    """
    return request_if(
        evaluation.is_due, memberships, context.instance, postgres, otherwise="Nothing changed."
    )
