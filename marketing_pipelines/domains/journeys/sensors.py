"""The sensor that enrols contacts as soon as segments were evaluated."""

import dagster as dg

from marketing_pipelines.domains.journeys import segment_entries as by_segments
from marketing_pipelines.domains.journeys.jobs import segment_entries
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import job_name, request_if, sensor


@sensor(
    job_name=job_name(segment_entries.key.to_user_string()),
    seconds=30,
    while_off="Contacts enter by segments at the job's schedule only.",
)
def evaluated_segments_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run when a segment that feeds an active program was evaluated.

    It has no cursor to lose: each trigger's row holds its progress.
    """
    return request_if(
        by_segments.are_due,
        segment_entries,
        context.instance,
        postgres,
        otherwise="No segment was evaluated.",
    )
