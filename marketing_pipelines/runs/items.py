"""One bad item never stops the rest: each in a savepoint, with its failures counted in a row."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import RetryableError
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import incidents
from marketing_pipelines.stores.tables import item_failures

# A check shows the first failing items, not a list of thousands.
MAX_NAMED = 20
# As `Tick.items`: the things to do, each named by the function and done in a savepoint.
Items = Callable[[sa.Connection, Iterable[Any], Callable[[Any], str]], Iterator[Any]]


class AllItemsFailedError(RetryableError):
    """Not one item of the job could be done."""


class ItemFailures:
    """Counts a job's items and remembers which failed, how often in a row and why."""

    def __init__(self, job: str, tick: dt.datetime) -> None:
        self.job = job
        self.tick = tick
        self.ok = 0
        self.failed = 0
        # Items that are not tried until a person has changed something, or before an instant.
        self.waiting = 0
        self.last_error = ""
        self.failing: list[tuple[str, str]] = []

    def attempts(
        self, connection: sa.Connection, items: Iterable[Any], name: Callable[[Any], str]
    ) -> Iterator["Item"]:
        """One `Item` for each of `items`; the caller enters it to work."""
        for item in items:
            yield Item(self, connection, item, name(item))

    def succeeded(self, connection: sa.Connection, item: str) -> None:
        """Counts a success and clears the item's failures."""
        self.ok += 1
        self.recovered(connection, item)

    def all_succeeded(self, connection: sa.Connection, items: Sequence[str]) -> None:
        """Counts the successes of many at once."""
        failing = connection.execute(
            sa.select(item_failures.c.item).where(
                item_failures.c.job == self.job, item_failures.c.item.in_(items)
            )
        ).scalars()
        for item in failing.all():
            self.recovered(connection, item)
        self.ok += len(items)

    def recovered(self, connection: sa.Connection, item: str) -> None:
        """Clears the failures of something that is no item of its own, too."""
        before = connection.execute(
            sa.delete(item_failures)
            .where(item_failures.c.job == self.job, item_failures.c.item == item)
            .returning(item_failures.c.consecutive)
        ).scalar()
        if before is not None and before >= incidents.THIRD:
            incidents.recovered(connection, self.job, item)

    def failed_with(self, connection: sa.Connection, item: str, error: Exception) -> None:
        """Counts a failure; the same tick tried again counts once."""
        self.failed += 1
        reason = redact(str(error.orig if isinstance(error, sa.exc.DBAPIError) else error))
        self.last_error = f"{item}: {reason}"
        insert = pg.insert(item_failures).values(
            job=self.job,
            item=item,
            consecutive=1,
            first_failed_at=self.tick,
            last_failed_at=self.tick,
            error=reason,
        )
        failed = connection.execute(
            insert.on_conflict_do_update(
                index_elements=["job", "item"],
                set_={
                    "consecutive": item_failures.c.consecutive
                    + sa.case((item_failures.c.last_failed_at < self.tick, 1), else_=0),
                    "last_failed_at": self.tick,
                    "error": insert.excluded.error,
                },
            ).returning(item_failures.c.consecutive, item_failures.c.first_failed_at)
        ).one()
        if failed.consecutive >= incidents.THIRD:
            incidents.item_failed(
                connection,
                self.job,
                item,
                reason,
                failed.consecutive,
                since=failed.first_failed_at,
            )

    def parts_failed(
        self, connection: sa.Connection, item: str, parts: Mapping[str, Exception]
    ) -> None:
        """Counts failures of parts of an item that was done without them, each by its name.

        Parts that failed before and are not among these fail no more.
        """
        failing = connection.execute(
            sa.select(item_failures.c.item).where(
                item_failures.c.job == self.job,
                sa.func.starts_with(item_failures.c.item, f"{item}, "),
            )
        ).scalars()
        names = {f"{item}, {part}": error for part, error in parts.items()}
        for name in failing.all():
            if name not in names:
                self.recovered(connection, name)
        for name, error in names.items():
            self.failed_with(connection, name, error)

    def note_failing(self, connection: sa.Connection) -> None:
        """Notes the items that fail now, be it since an earlier tick: items and errors."""
        rows = failing_items(connection, self.job)
        self.failing = [(row.item, row.error) for row in rows]
        connection.commit()

    def raise_if_all_failed(self) -> None:
        """A job none of whose items could be done has failed."""
        if self.failed and not self.ok:
            raise AllItemsFailedError(
                f"Every item of {self.job} failed, the last with: {self.last_error}"
            )


class Item:
    """One item's savepoint: its changes are kept completely or not at all."""

    def __init__(
        self, failures: ItemFailures, connection: sa.Connection, item: Any, name: str
    ) -> None:
        self._failures = failures
        self._connection = connection
        self._item = item
        self._name = name
        self._savepoint: contextlib.AbstractContextManager[Any] | None = None

    def __enter__(self) -> Any:
        from structlog import contextvars  # with Rich, which definitions do not need

        self._bound = contextvars.bound_contextvars(item=self._name)
        self._bound.__enter__()
        self._savepoint = self._connection.begin_nested()
        self._savepoint.__enter__()
        return self._item

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        assert self._savepoint is not None
        self._bound.__exit__(kind, error, trace)
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            return False
        self._savepoint.__exit__(kind, error, trace)
        if error is None:
            self._failures.succeeded(self._connection, self._name)
            return False
        if not isinstance(error, Exception):
            return False
        self._failures.failed_with(self._connection, self._name, error)
        return True


def failing_items(connection: sa.Connection, job: str | None = None) -> Sequence[sa.Row[Any]]:
    """The items that fail now, of all jobs or of one, the oldest failure first; at most 20."""
    query = sa.select(item_failures).order_by(
        item_failures.c.first_failed_at, item_failures.c.job, item_failures.c.item
    )
    if job is not None:
        query = query.where(item_failures.c.job == job)
    return connection.execute(query.limit(MAX_NAMED)).all()
