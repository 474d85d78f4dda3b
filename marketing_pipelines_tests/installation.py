"""A whole installation for tests: load, run, look."""

import contextlib
import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.loading import LoadResult, load_file
from marketing_pipelines.running import Outcome, Request, run_job, run_marked
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.dagster_in_memory import new_instance

AGGREGATES = ("hourly_events", "event_aggregates", "campaign_daily_stats")


# Making one reads the history of Dagster's schema, which takes longer than most runs.
_unused_instances: list[dg.DagsterInstance] = []


@contextlib.contextmanager
def instance_in_memory() -> Iterator[dg.DagsterInstance]:
    """An empty Dagster instance that no other installation of this process uses meanwhile."""
    instance = _unused_instances.pop() if _unused_instances else new_instance()
    yield instance
    instance.run_storage.wipe()
    instance.event_log_storage.wipe()
    _unused_instances.append(instance)


@dataclass(frozen=True)
class Installation:
    """Settings, engine and Dagster instance of one installation."""

    settings: Settings
    engine: sa.Engine
    open_instance: Callable[[], dg.DagsterInstance]
    loading: sa.Engine | None = None

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Settings, engine: sa.Engine) -> Iterator["Installation"]:
        """Keeps Dagster's storage in memory, taken only for tests that use it.

        Loads keep connections where the engine does, but others: their sessions have settings of
        their own.
        """
        with contextlib.ExitStack() as stack:
            loading = None
            if isinstance(engine.pool, sa.QueuePool):
                loading = create_engine(engine.url, pool_size=4)
                stack.callback(loading.dispose)
            yield cls(settings, engine, lambda: stack.enter_context(instance_in_memory()), loading)

    @functools.cached_property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance."""
        return self.open_instance()

    def load(self, kind: str, path: Path, **options: Any) -> LoadResult:
        """Loads a file, over connections of its own as the command does."""
        engine = self.loading or create_engine(self.engine.url)
        return load_file(engine, kind, path, settings=self.settings, **options)

    def load_events(self, folder: Path, rows: Sequence[dict[str, Any]]) -> LoadResult:
        """Loads events given as rows; what a row leaves out gets a plain default."""
        import json

        path = folder / f"events-{len(list(folder.iterdir()))}.jsonl"
        defaults = {"organization_id": "acme", "contact_id": "c1", "event_type": "sent"}
        path.write_text("\n".join(json.dumps(defaults | row) for row in rows))
        return self.load("events", path)

    def run(
        self, job: str, first: str | None = None, last: str | None = None, **options: Any
    ) -> list[Outcome]:
        """Runs a job as `marketing-pipelines run` does."""
        request = Request(job, first, last or first, **options)
        return run_job(request, settings=self.settings, engine=self.engine, instance=self.instance)

    def run_marked(self) -> list[Outcome]:
        """Does what schedules and sensors would do."""
        return list(run_marked(settings=self.settings, engine=self.engine, instance=self.instance))

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), parameters)]

    def execute(self, statement: str, **parameters: Any) -> None:
        """Changes something in one transaction."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)

    def fingerprint(self, table: str) -> str:
        """A hash of a table of the schema `analytics`, independent of the order of its rows."""
        rows = sorted(str(row) for row in self.rows(f"select * from analytics.{table}"))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def fingerprints(self) -> dict[str, str]:
        """The hash of every aggregate table."""
        return {table: self.fingerprint(table) for table in AGGREGATES}


def instant(text: str) -> dt.datetime:
    """`2026-03-01T13:00Z` as a value."""
    return dt.datetime.fromisoformat(text)
