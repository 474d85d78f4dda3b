"""The sensor that shows the deliveries of webhooks in Dagster."""

import json

import dagster as dg

from marketing_pipelines.domains.webhooks import sources
from marketing_pipelines.domains.webhooks.replaying import counts_of
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import sensor


@sensor(seconds=60, while_off="The asset webhooks/deliveries shows old counts.")
def webhooks_sensor(context: dg.SensorEvaluationContext, postgres: Postgres) -> dg.SensorResult:
    """Observes the counts of waiting deliveries, and of endpoints by state."""
    with postgres.begin() as connection:
        counts = counts_of(connection)
    cursor = json.dumps(counts)
    if cursor == context.cursor:
        return dg.SensorResult(skip_reason="The counts of deliveries have not changed.")
    observation = dg.AssetObservation(sources.deliveries.key, metadata=counts)
    return dg.SensorResult(asset_events=[observation], cursor=cursor)
