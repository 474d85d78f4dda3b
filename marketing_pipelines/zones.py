"""Offsets of time zones as data: PostgreSQL and DuckDB read the same offsets as Python.

The one source is the pinned package `tzdata`. PostgreSQL, DuckDB and the operating system have time
zones of their own, of other versions and with other readings of names; no rule is computed by them.
"""

import datetime as dt
import io
import operator
import struct
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

import tzdata

FIRST, LAST = dt.datetime(1850, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
# Of the source and of how it is read.
VERSION = f"{tzdata.IANA_VERSION} to {LAST:%Y}"
# Of rules that go on for ever; shorter than the time between two changes by such a rule.
_STEP = dt.timedelta(days=20)
_HOUR, _SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# RFC 9636: a header with six counts, then the data in 32 bits; the same again in 64 bits.
_HEADER = struct.Struct(">20x6L")
_BYTES_OF_32_BITS = (1, 1, 8, 5, 6, 1)


class Offset(NamedTuple):
    """The offset of a zone from UTC from an instant on; None: from the beginning.

    `starts_local` is the first local time that is read with this offset: a time that occurs twice
    is the first of the two; a skipped one is read with the offset before.
    """

    starts_at: dt.datetime | None
    starts_local: dt.datetime | None
    utc_offset: dt.timedelta


def offsets(name: str) -> tuple[Offset, ...]:
    """The offsets of a zone, oldest first.

    After `LAST` the zone keeps the least offset of its last year, which is its standard time.
    """
    folder = resources.files(tzdata).joinpath("zoneinfo")
    return _offsets(folder.joinpath(*name.split("/")).read_bytes())


@cache
def _offsets(content: bytes) -> tuple[Offset, ...]:
    """Returns the offsets of a zone's file; many names share them."""
    zone = ZoneInfo.from_file(io.BytesIO(content))
    current = _offset(zone, FIRST)
    found = [Offset(None, None, current)]
    for at in _times_of_change(content, zone):
        following = _offset(zone, at)
        if following != current:
            found.append(_change(at, current, following))
            current = following
    lasting = min(_offset(zone, LAST - number * _STEP) for number in range(19))
    if lasting != current:
        found.append(_change(LAST, current, lasting))
    return tuple(found)


def _times_of_change(content: bytes, zone: ZoneInfo) -> Iterator[dt.datetime]:
    """The instants that the zone's file lists, then the instants of the rule at its end."""
    counts = _HEADER.unpack_from(content)
    start = _HEADER.size + sum(map(operator.mul, counts, _BYTES_OF_32_BITS))
    listed = _HEADER.unpack_from(content, start)[3]
    times = struct.unpack_from(f">{listed}q", content, start + _HEADER.size)
    at = _EPOCH
    for seconds in times:
        at = _EPOCH + seconds * _SECOND
        if FIRST < at < LAST:
            yield at
    rule = content.rstrip().rpartition(b"\n")[2]
    if b"," in rule:
        # Few rules, which many zones follow from the same instant on.
        if (rule, at) not in _of_rules:
            _of_rules[rule, at] = list(_times_of_rule(zone, at))
        yield from _of_rules[rule, at]


_of_rules: dict[tuple[bytes, dt.datetime], list[dt.datetime]] = {}


def _times_of_rule(zone: ZoneInfo, after: dt.datetime) -> Iterator[dt.datetime]:
    before, offset = after, _offset(zone, after)
    while before < LAST:
        following = before + _STEP
        if _offset(zone, following) != offset:
            yield _first_instant(zone, before, following, offset)
            offset = _offset(zone, following)
        before = following


def _offset(zone: ZoneInfo, instant: dt.datetime) -> dt.timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _first_instant(
    zone: ZoneInfo, before: dt.datetime, after: dt.datetime, current: dt.timedelta
) -> dt.datetime:
    """The second at which the offset between two instants is no longer the current one."""
    # Nearly always a whole hour, which takes half as many looks.
    for unit in (_HOUR, _SECOND):
        while after - before > unit:
            middle = before + (after - before) // unit // 2 * unit
            if _offset(zone, middle) == current:
                before = middle
            else:
                after = middle
        if _offset(zone, after - _SECOND) == current:
            break
    return after


def _change(at: dt.datetime, before: dt.timedelta, after: dt.timedelta) -> Offset:
    return Offset(at, at.replace(tzinfo=None) + max(before, after), after)
