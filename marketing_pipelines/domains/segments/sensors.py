"""What has segments evaluated between the full hours."""

import dagster as dg

from marketing_pipelines.domains.segments import evaluation
from marketing_pipelines.policies import policy_of
from marketing_pipelines.resources import Postgres
from marketing_pipelines.scheduling import is_under_way, job_name


@dg.sensor(
    job_name=job_name(evaluation.JOB),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def touched_contacts_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Asks for an evaluation when contacts were touched or rules changed.

    It has no cursor to lose: what was touched stays noted until an evaluation has taken it.
    """
    if not policy_of(evaluation.JOB).is_on:
        return dg.SkipReason("The job is off: it is run by hand only.")
    with postgres.begin() as connection:
        if not evaluation.is_due(connection):
            return dg.SkipReason("Nothing changed.")
    if is_under_way(context.instance, job_name(evaluation.JOB)):
        return dg.SkipReason("An evaluation is under way.")
    return dg.RunRequest()
