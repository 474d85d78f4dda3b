"""The sensor that scores contacts between the full hours."""

import datetime as dt

import dagster as dg

from marketing_pipelines.domains.leads import new_signals as signals
from marketing_pipelines.domains.leads.jobs import new_signals
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import job_name, request_if, sensor


@sensor(
    job_name=job_name(new_signals.key.to_user_string()),
    seconds=60,
    while_off="Intent scores follow new signals at full hours only.",
)
def arrived_signals_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run when signals of interest arrived.

    It has no cursor to lose: arrivals stay stored until a run has taken them.
    """
    return request_if(
        lambda connection: signals.is_due(connection, dt.datetime.now(dt.UTC)),
        new_signals,
        context.instance,
        postgres,
        otherwise="No signal arrived.",
    )
