"""What has campaigns completed between the full hours."""

import dagster as dg

from marketing_pipelines.domains.campaigns import completions
from marketing_pipelines.policies import policy_of
from marketing_pipelines.resources import Postgres
from marketing_pipelines.scheduling import is_under_way, job_name


@dg.sensor(
    job_name=job_name(completions.JOB),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def finished_campaigns_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run when the last contact of a campaign has finished.

    It has no cursor to lose: a campaign that is over stays so until it is completed.
    """
    if not policy_of(completions.JOB).is_on:
        return dg.SkipReason("The job is off: it is run by hand only.")
    with postgres.begin() as connection:
        if not completions.is_due(connection):
            return dg.SkipReason("No campaign is over.")
    if is_under_way(context.instance, job_name(completions.JOB)):
        return dg.SkipReason("A run is under way.")
    return dg.RunRequest()
