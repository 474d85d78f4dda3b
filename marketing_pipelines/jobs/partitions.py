"""Dagster's partition definitions of hours, days and months, and the mapping between them."""

import datetime as dt
from typing import Any

import dagster as dg

from marketing_pipelines.freshness.partitions import Grain
from marketing_pipelines.settings import get_settings


def definition_of(grain: Grain) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of one grain.

    Hours are UTC hours that are over; the first day may begin on the UTC day before. Days and
    months are labels of the reporting zone's: days include the running one, months are over.
    """
    first = dt.datetime.combine(get_settings().first_day, dt.time())
    if grain == "hour":
        return dg.HourlyPartitionsDefinition(
            start_date=first - dt.timedelta(days=1), timezone="UTC"
        )
    if grain == "day":
        return dg.DailyPartitionsDefinition(
            start_date=first, timezone="UTC", end_offset=1 + _ahead_of_utc()
        )
    return dg.MonthlyPartitionsDefinition(
        start_date=first, timezone="UTC", end_offset=_ahead_of_utc()
    )


def over(asset: Any) -> dg.AssetDep:
    """Returns a dependency on finer partitions. It covers the window and one window to each side,
    because a day of the reporting zone is not a UTC day."""
    return dg.AssetDep(
        asset,
        partition_mapping=dg.TimeWindowPartitionMapping(
            start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True
        ),
    )


def latest_of(asset: Any) -> dg.AssetDep:
    """Returns a dependency on the latest partition, for an asset without partitions that reads all.

    Dagster lists every partition of a dependency in each run, and every hour of some years takes
    seconds. An automation condition sees the latest one only; an older hour that changes also
    changes its day.
    """
    return dg.AssetDep(asset, partition_mapping=dg.LastPartitionMapping())


def _ahead_of_utc() -> int:
    """1 where the reporting zone's day begins before the UTC day of the same name."""
    zone = get_settings().zone
    offsets = [dt.datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in range(1, 13)]
    return int(any(offset and offset > dt.timedelta() for offset in offsets))
