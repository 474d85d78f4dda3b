"""The sensor of webhooks: events of the installation for the operator, and counts."""

import datetime as dt
import json

import dagster as dg

from marketing_pipelines.domains.webhooks import sources
from marketing_pipelines.domains.webhooks.endpoints import forget_old_secrets
from marketing_pipelines.domains.webhooks.publishing import publish_operations
from marketing_pipelines.domains.webhooks.replaying import counts_of
from marketing_pipelines.domains.webhooks.tasks import ring, ring_due
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import sensor

# Events are written once, so looking far back costs nothing but the look.
LOOK_BACK = dt.timedelta(days=1)


@sensor(
    seconds=30,
    while_off="Endpoints of the operator get no events of jobs, alerts and health, and the asset "
    "webhooks/deliveries shows old counts.",
)
def webhooks_sensor(context: dg.SensorEvaluationContext, postgres: Postgres) -> dg.SensorResult:
    """Writes deliveries of jobs, alerts and health, and observes the counts of deliveries.

    An endpoint with due deliveries gets a task if it has none; secrets that no longer sign go.
    """
    now = dt.datetime.now(dt.UTC)
    with postgres.begin() as connection:
        ring(connection, publish_operations(connection, now - LOOK_BACK, now))
        ring_due(connection, now)
        forget_old_secrets(connection, now)
        counts = counts_of(connection)
    cursor = json.dumps(counts)
    if cursor == context.cursor:
        return dg.SensorResult(skip_reason="The counts of deliveries have not changed.")
    observation = dg.AssetObservation(sources.deliveries.key, metadata=counts)
    return dg.SensorResult(asset_events=[observation], cursor=cursor)
