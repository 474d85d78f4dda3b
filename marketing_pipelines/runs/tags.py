"""The tags of a run: its tick, its trigger, its limits, its owner."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from marketing_pipelines.failures import StoreUnavailableError

TICK_TAG = "marketing/tick"
TRIGGER_TAG = "marketing/trigger"
SESSION_TAG = "marketing/session"
MAX_RUNTIME_TAG = "dagster/max_runtime"
SCHEDULED_TAG = ".dagster/scheduled_execution_time"
ONLY_MARKED_TAG = "marketing/only_marked"
OWNER_TAG = "marketing/owner"
DOMAIN_TAG = "marketing/domain"


def trigger_of(tags: Mapping[str, str]) -> str:
    """schedule, sensor, backfill, api or manual."""
    if TRIGGER_TAG in tags:
        return tags[TRIGGER_TAG]
    for tag, trigger in (
        ("dagster/schedule_name", "schedule"),
        ("dagster/sensor_name", "sensor"),
        ("dagster/backfill", "backfill"),
    ):
        if tag in tags:
            return trigger
    return "manual"


def instant_of(context: dg.AssetExecutionContext) -> dt.datetime:
    """The scheduled instant; for a run without a schedule, the instant of its request."""
    tags = context.run.tags
    tagged = tags.get(TICK_TAG) or tags.get(SCHEDULED_TAG)
    if tagged is not None:
        return dt.datetime.fromisoformat(tagged).astimezone(dt.UTC)
    record = context.instance.get_run_record_by_id(context.run.run_id)
    if record is None:
        raise StoreUnavailableError("The present run is not in Dagster's storage.")
    created: dt.datetime = record.create_timestamp
    return created.astimezone(dt.UTC) if created.tzinfo else created.replace(tzinfo=dt.UTC)
