"""The files of the lake compared with their manifest; hours that differ are exported anew."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.manifest import ExportedHour
from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.freshness import propagation
from marketing_pipelines.freshness.partitions import HOUR, registered, window_at
from marketing_pipelines.stores.lake import Lake

ASSET = "analytics/contact_activity"
# Files whose content is read each week: one of so many.
SHARES = 8


@dataclass(frozen=True)
class LakeCheck:
    """The result of one check.

    Attributes:
        hashed: Files whose whole content was compared.
        different: Hours with the reason why their file is not the one of the manifest.
    """

    files: int
    hashed: int
    different: Mapping[dt.datetime, str]


def compare_files(connection: sa.Connection, lake: Lake, week: int) -> LakeCheck:
    """Compares presence and rows of every file, and the content of one of eight.

    Args:
        week: Number of the week; eight in a row compare the content of every file.
    """
    query = sa.select(lake_hours).where(lake_hours.c.rows > 0).order_by(lake_hours.c.hour)
    different: dict[dt.datetime, str] = {}
    files = hashed = 0
    for row in connection.execute(query):
        number = int(row.hour.timestamp()) // int(HOUR.total_seconds())
        is_hashed = number % SHARES == week % SHARES
        files += 1
        hashed += is_hashed
        for reason in _differences(
            lake, row.hour, ExportedHour(row.rows, row.content_hash), is_hashed=is_hashed
        ):
            different[row.hour] = reason
            break
    return LakeCheck(files, hashed, different)


def mark_different(
    connection: sa.Connection, check: LakeCheck, *, now: dt.datetime, zone: ZoneInfo
) -> None:
    """Makes the hours stale whose files differ: sensors request them, and what lies above."""
    hours = [window_at("hour", hour, zone) for hour in check.different]
    propagation.mark(connection, registered()[ASSET], hours, now=now, zone=zone)


def _differences(
    lake: Lake, hour: dt.datetime, expected: ExportedHour, *, is_hashed: bool
) -> Iterator[str]:
    import pyarrow.parquet as pq

    path = lake.path(hour)
    try:
        with lake.filesystem.open(path, "rb") as file:
            rows = pq.ParquetFile(file).metadata.num_rows
            if rows != expected.rows:
                yield f"it has {rows:,} rows, not {expected.rows:,}"
            if is_hashed:
                file.seek(0)
                if hashlib.file_digest(file, "sha256").hexdigest() != expected.content_hash:
                    yield "its content is another"
    except FileNotFoundError:
        yield "it is missing"
    except (OSError, ValueError) as error:
        # pyarrow's errors are ValueErrors.
        yield f"it cannot be read ({type(error).__name__})"
