"""What has contacts enter programs as soon as segments were evaluated."""

import dagster as dg

from marketing_pipelines.domains.journeys import segment_entries
from marketing_pipelines.policies import policy_of
from marketing_pipelines.resources import Postgres
from marketing_pipelines.scheduling import is_under_way, job_name


@dg.sensor(
    job_name=job_name(segment_entries.JOB),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def evaluated_segments_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run when a segment that feeds an active program was evaluated.

    It has no cursor to lose: how far each trigger has come stands beside the trigger.
    """
    if not policy_of(segment_entries.JOB).is_on:
        return dg.SkipReason("The job is off: it is run by hand only.")
    with postgres.begin() as connection:
        if not segment_entries.are_due(connection):
            return dg.SkipReason("No segment was evaluated.")
    if is_under_way(context.instance, job_name(segment_entries.JOB)):
        return dg.SkipReason("A run is under way.")
    return dg.RunRequest()
