"""The sensor that asks for a run while actions are due."""

import datetime as dt

import dagster as dg

from marketing_pipelines.domains.actions import taking
from marketing_pipelines.domains.actions.jobs import scheduled_actions
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import job_name, request_if, sensor


@sensor(
    job_name=job_name(scheduled_actions.key.to_user_string()),
    seconds=15,
    while_off="Actions are done when an external clock calls /cron/actions/scheduled_actions.",
)
def due_actions_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run when an action is due. It has no cursor to lose."""
    return request_if(
        lambda connection: taking.is_due(connection, dt.datetime.now(dt.UTC)),
        scheduled_actions,
        context.instance,
        postgres,
        otherwise="No action is due.",
    )
