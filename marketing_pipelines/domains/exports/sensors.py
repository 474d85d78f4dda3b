"""The sensor that shows the queue of exports in Dagster, and settles exports of killed workers."""

import datetime as dt
import json

import dagster as dg

from marketing_pipelines.domains.exports import sources
from marketing_pipelines.domains.exports.standing import counts_of, settle_lost
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import sensor
from marketing_pipelines.stores.files import FileStore


@sensor(
    seconds=60,
    while_off="The asset exports/requests shows old counts; exports whose worker was killed at "
    "the last attempt stay `running`.",
)
def exports_sensor(context: dg.SensorEvaluationContext, postgres: Postgres) -> dg.SensorResult:
    """Observes the counts of exports; fails those whose task has failed without a word.

    A killed worker settles nothing: the queue buries the task of its last attempt.
    """
    now = dt.datetime.now(dt.UTC)
    settle_lost(postgres.begin, FileStore(postgres.settings.effective_files_url), now)
    with postgres.begin() as connection:
        counts = counts_of(connection, now)
    cursor = json.dumps(counts)
    if cursor == context.cursor:
        return dg.SensorResult(skip_reason="The counts of exports have not changed.")
    observation = dg.AssetObservation(sources.requests.key, metadata=counts)
    return dg.SensorResult(asset_events=[observation], cursor=cursor)
