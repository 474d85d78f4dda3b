"""A tiny asset whose work a test gives, run by Dagster in the real frame `runs.frame.open_tick`."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.runs.frame import open_tick
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.installation import instance_in_memory

KEY = "probe/outcome"
TICK = "2026-03-01T12:00:00+00:00"
Body = Callable[[Tick], None]


def run_probe(
    engine: sa.Engine,
    body: Body,
    first: str | None = None,
    last: str | None = None,
    tags: Mapping[str, str] | None = None,
    instance: dg.DagsterInstance | None = None,
    run_id: str | None = None,
) -> dg.ExecuteInProcessResult:
    """One run of the asset; `first` and `last` are hours, without them it has no partitions."""
    hours = dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00")

    @dg.asset(
        key=KEY.split("/"),
        partitions_def=hours if first else None,
        backfill_policy=dg.BackfillPolicy.single_run() if first else None,
    )
    def probe(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        # Its locks end with its connections, which a pool would keep.
        with open_tick(create_engine(engine.url), ZoneInfo("UTC"), context) as tick:
            body(tick)
        return tick.result()

    all_tags = {TICK_TAG: TICK} | dict(tags or {})
    if last:
        all_tags |= {
            "dagster/asset_partition_range_start": str(first),
            "dagster/asset_partition_range_end": last,
        }
    with nullcontext(instance) if instance else instance_in_memory() as opened:
        job = dg.Definitions(assets=[probe]).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=opened,
            partition_key=None if last else first,
            tags=all_tags,
            run_id=run_id,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def delays_of(result: dg.ExecuteInProcessResult) -> list[float]:
    """The waits that Dagster was asked for before it tried again."""
    return [
        event.step_retry_data.seconds_to_wait
        for event in result.all_events
        if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]


@contextmanager
def held_open(engine: sa.Engine, body: Body, first: str, last: str | None = None) -> Any:
    """A run that has its locks and is in the middle of its transaction; it goes on at the end."""
    inside, go_on = threading.Event(), threading.Event()

    def wait_inside(tick: Tick) -> None:
        with tick.replacing(tick.windows) as replacement:
            inside.set()
            assert go_on.wait(60)
            replacement.finished({})
        body(tick)

    with ThreadPoolExecutor(1) as pool:
        future: Future[dg.ExecuteInProcessResult] = pool.submit(
            run_probe, engine, wait_inside, first, last
        )
        assert inside.wait(60)
        try:
            yield future
        finally:
            go_on.set()


def finish_all(tick: Tick) -> None:
    """The least work: one transaction that says its partitions are done."""
    with tick.replacing(tick.windows) as replacement:
        replacement.finished(dict.fromkeys((w.key for w in tick.windows), 1))


def write_policies(text: str) -> Path:
    """A `jobs.toml` in the data folder of this test."""
    file = get_settings().jobs_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
