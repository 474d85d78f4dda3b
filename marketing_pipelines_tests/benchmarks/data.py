"""The files that benchmarks load: made once, kept in the benchmark's folder."""

import datetime as dt
import shutil
from pathlib import Path

from marketing_pipelines.demo.generated import generate_batches, write_files

FIRST_DAY = dt.date(2026, 3, 1)
LAST_DAY = dt.date(2026, 3, 30)
DAYS = 30
ORGANIZATIONS = 100
BUSY_HOUR_EVENTS = 200_000
ORDINARY_HOUR_EVENTS = 50_000
# After the history, in the same month partition.
BUSY_HOUR = dt.datetime(2026, 3, 31, 10, tzinfo=dt.UTC)
ORDINARY_HOUR = dt.datetime(2026, 3, 31, 13, tzinfo=dt.UTC)
HOURS = {BUSY_HOUR: BUSY_HOUR_EVENTS, ORDINARY_HOUR: ORDINARY_HOUR_EVENTS}


def history(folder: Path, events: int) -> list[tuple[str, Path]]:
    """`(kind, path)` in loading order: thirty days of generated events and their entities."""
    target = folder / f"history-{events}"
    kinds = ("organizations", "users", "companies", "contacts", "campaigns", "campaign_contacts")
    if not target.is_dir():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_files(partial, events=events, start=FIRST_DAY, days=DAYS, organizations=ORGANIZATIONS)
        partial.rename(target)
    return [
        *((kind, target / f"{kind}.csv") for kind in kinds),
        ("events", target / "events.parquet"),
    ]


def hour_files(folder: Path) -> list[Path]:
    """One file for each of `HOURS`, the same whatever the history is."""
    return [_hour_file(folder, hour, events) for hour, events in HOURS.items()]


def _hour_file(folder: Path, hour: dt.datetime, events: int) -> Path:
    """Events of a generated day, moved into one hour."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = folder / f"hour-{hour:%H}-{events}.parquet"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    batches = generate_batches(
        events=events, seed=hour.hour, start=hour.date(), days=1, organizations=ORGANIZATIONS
    )
    table = pa.Table.from_batches(list(batches))
    start = int(hour.timestamp()) * 1_000_000
    for name in ("occurred_at", "received_at"):
        micros = table[name].cast(pa.int64())
        day = start // 86_400_000_000 * 86_400_000_000
        moved = pc.add(pc.divide(pc.subtract(micros, day), 24), start)
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, moved.cast(table.schema.field(name).type))
    occurred = table["occurred_at"].cast(pa.int64())
    within = pc.and_(pc.greater_equal(occurred, start), pc.less(occurred, start + 3_600_000_000))
    pq.write_table(table.filter(within), path)
    return path
