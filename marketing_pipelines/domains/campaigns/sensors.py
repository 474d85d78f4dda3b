"""The sensor that requests the completion of campaigns between the full hours."""

import dagster as dg

from marketing_pipelines.domains.campaigns import completions as completing
from marketing_pipelines.domains.campaigns.jobs import completions
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import job_name, request_if, sensor


@sensor(
    job_name=job_name(completions.key.to_user_string()),
    seconds=60,
    while_off="Campaigns that are over are completed at full hours only.",
)
def finished_campaigns_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run when the last contact of a campaign has finished.

    It has no cursor to lose: a campaign that is over stays so until it is completed.
    """
    return request_if(
        completing.is_due,
        completions,
        context.instance,
        postgres,
        otherwise="No campaign is over.",
    )
