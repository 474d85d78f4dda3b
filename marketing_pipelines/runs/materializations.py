"""Materializations of exactly the partitions that a run did.

Dagster reports every partition of a range run, about a millisecond each. A run that does only the
marked partitions of its range must not claim the others, and four years of hours hold 35,000
partitions of which a few hundred have events; such runs carry `DEFERRED` and report by themselves.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG

DEFERRED = {EXTERNALLY_MANAGED_ASSETS_TAG: "true"}
REPORT_EMPTY_UP_TO = 744


def is_deferred(tags: Mapping[str, str]) -> bool:
    """Returns true if Dagster leaves the reporting of materializations to us."""
    return EXTERNALLY_MANAGED_ASSETS_TAG in tags


def report(
    context: dg.AssetExecutionContext, rows_of: Mapping[str, int], metadata: Mapping[str, Any]
) -> None:
    """Reports the partitions that were done; of very many, only the ones with rows.

    The numbers of the run are with the last one, which the asset's page shows as the latest: they
    are of no partition alone, and a copy in every event costs more than the event.
    """
    filled = [key for key, rows in rows_of.items() if rows]
    is_mostly_empty = len(rows_of) > max(REPORT_EMPTY_UP_TO, 2 * len(filled))
    keys = filled if is_mostly_empty else list(rows_of)
    batch: str = generate_event_batch_id()  # type: ignore[no-untyped-call]
    step = context.op_execution_context.get_step_execution_context()
    for position, key in enumerate(keys, start=1):
        is_last = position == len(keys)
        rows = {"dagster/partition_row_count": rows_of[key]}
        materialization = dg.AssetMaterialization(
            context.asset_key, partition=key, metadata=dict(metadata) | rows if is_last else rows
        )
        # Building the event stores it, as one of a batch.
        DagsterEvent.asset_materialization(
            step, materialization, DagsterEventBatchMetadata(batch, is_last)
        )
