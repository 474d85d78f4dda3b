"""The run of one file through reading, checking and writing, for rows of any kind."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import sqlalchemy as sa

from marketing_pipelines.loading.batches import Batch, Reader
from marketing_pipelines.loading.rejects import Rejects
from marketing_pipelines.loading.remarks import Remark, Tally
from marketing_pipelines.loading.results import MAX_NAMES, Counts, LoadResult, Reject
from marketing_pipelines.loading.writers import Store, Writer

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int, int], None]


class Checked(NamedTuple):
    """A batch after its checks.

    Args:
        shares: the rows to write, one table for each writer.
        rejects: the rows refused.
        settled: the rows that need no writing.
        remarks: about rows that are not refused.
    """

    shares: list["pa.Table"]
    rejects: list[Reject]
    settled: Counts
    remarks: list[Remark]


class Target(Protocol):
    """The checks and the store of one kind of row.

    Args:
        writers: threads that write; each gets its share of every batch.
    """

    writers: int

    @property
    def kept(self) -> tuple[str, set[str]]:
        """Returns the name for unknown columns, and their names as far as they were met."""
        ...

    @property
    def missing(self) -> list[str]:
        """Required columns that no row has had so far."""
        ...

    def check(self, batch: Batch) -> Checked:
        """Separates the rows to write from the others."""
        ...

    def store(self) -> Store:
        """A store for one writer."""
        ...


def split_checked(checked: "pa.Table") -> tuple["pa.Table", list[Reject]]:
    """Separates rows by `wrong_column` and `refused_because`; the good ones lose both columns."""
    import pyarrow.compute as pc

    good = checked
    refused: list[Reject] = []
    if checked["wrong_column"].null_count < checked.num_rows:
        bad = checked.filter(pc.is_valid(checked["wrong_column"]))
        columns = (bad[name].to_pylist() for name in ("line", "wrong_column", "refused_because"))
        refused = [Reject(*values) for values in zip(*columns, strict=True)]
        good = checked.filter(pc.is_null(checked["wrong_column"]))
    return good.drop_columns(["wrong_column", "refused_because"]), refused


def run_load(
    engine: sa.Engine,
    reader: Reader,
    target: Target,
    rejects: Rejects,
    on_progress: Progress | None,
) -> LoadResult:
    """Reads, checks and writes a file; checking overlaps with PostgreSQL's work.

    Args:
        on_progress: called with bytes read, bytes of the file, rows read so far.
    """
    counts, rows, noticed = Counts(), 0, Tally()
    with _frugal_memory(), contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(contextlib.closing(Writer(engine, target.store())))
            for _ in range(target.writers)
        ]
        for batch in reader.batches():
            checked = target.check(batch)
            rejects.add(batch.rejects)
            rejects.add(checked.rejects)
            noticed.add([*batch.remarks, *checked.remarks])
            counts = counts + checked.settled
            for writer, share in zip(writers, checked.shares, strict=True):
                if share.num_rows:
                    counts = _settle(counts, writer.submit(share), rejects)
            rows += batch.table.num_rows + len(batch.rejects)
            if on_progress is not None:
                on_progress(batch.position, reader.size, rows)
        for writer in writers:
            counts = _settle(counts, writer.finish(), rejects)
    kept_as, further = target.kept
    refusals = rejects.causes.refusals(rows)
    if rejects.count == rows > 0 and target.missing:
        refusals = [_other_keys(reader, target.missing, sorted(further))]
    return LoadResult(
        counts.loaded,
        counts.changed,
        counts.repeated,
        rejects.count,
        rejects.path if rejects.count else None,
        counts.stubs,
        counts.stub_names,
        kept_as,
        sorted(further),
        [*refusals, *noticed.remarks()],
    )


def _other_keys(reader: Reader, missing: list[str], further: list[str]) -> str:
    """Returns the sentence that no line of JSON is a row of the kind."""
    keys = ", ".join(name[:60] for name in further[:MAX_NAMES]) or "none"
    return f"{reader.path} has no key {', '.join(missing)} in any line; its other keys are {keys}."


def _settle(
    counts: Counts, outcomes: Iterable[tuple[Counts, list[Reject]]], rejects: Rejects
) -> Counts:
    for stored, refused in outcomes:
        counts = counts + stored
        rejects.add(refused)
    return counts


@contextlib.contextmanager
def _frugal_memory() -> Iterator[None]:
    """Arrow gives memory back when a batch is done; its own allocator keeps some per thread."""
    import pyarrow as pa

    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)
