"""Instants of generated events: a period cut into hours, and the weight of each hour.

Instants are microseconds since 1970 in UTC (int64). Every draw uses additions, products and
table look-ups only, never `exp` or `pow`, whose last bit differs between processors: the same
seed gives the same bytes everywhere.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer[Any]]
"""Whole numbers of any width."""
Quantiles = Sequence[tuple[float, float]]
"""A distribution of delays: `(share of delays that are at most, seconds)`, from 0 to 1."""

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NEVER = int(np.iinfo(np.int64).max)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def micros(instant: dt.datetime) -> int:
    """Microseconds since 1970 of an instant with a zone."""
    return (instant - EPOCH) // dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class DemoPeriod:
    """The half-open time `[begin, end)`; `begin` is a whole UTC hour, `end` any instant."""

    begin: int
    end: int

    @cached_property
    def edges(self) -> Ints:
        """First instant of each hour, and the end of the period: hours + 1 numbers."""
        hours = np.arange(self.begin, self.end, HOUR, dtype=np.int64)
        return np.append(hours, self.end)

    def local_hours(self, zone: str) -> tuple[Ints, Ints]:
        """Hour of the day (0 to 23) and weekday (Monday = 0) of each hour in a zone."""
        local_zone = ZoneInfo(zone)
        local = [
            (EPOCH + dt.timedelta(microseconds=int(edge))).astimezone(local_zone)
            for edge in self.edges[:-1]
        ]
        hours = np.array([moment.hour for moment in local], dtype=np.int64)
        return hours, np.array([moment.weekday() for moment in local], dtype=np.int64)


class Rhythm:
    """Instants of one kind, each with a choice (a campaign, an organization), by hourly weights.

    `weights` has one row per hour of the period and one column per choice.
    """

    def __init__(self, period: DemoPeriod, weights: Floats) -> None:
        self._edges = period.edges
        self._choices = weights.shape[1]
        hourly = weights.sum(axis=1)
        self.total = float(hourly.sum())
        mass = np.concatenate([[0.0], np.cumsum(hourly)])
        self._mass = mass / mass[-1] if self.total else mass
        shares = np.cumsum(weights, axis=1) / np.where(hourly > 0, hourly, 1)[:, None]
        self._cells = (np.arange(len(hourly))[:, None] + np.minimum(shares, 1)).ravel()

    def share_before(self, instant: float) -> float:
        """Share (0 to 1) of everything that happens before an instant."""
        return float(np.interp(instant, self._edges, self._mass))

    def draw(
        self, rng: np.random.Generator, count: int, begin: float, end: float
    ) -> tuple[Ints, Ints]:
        """`count` instants in `[begin, end)`, unordered, and the choice of each."""
        low, high = self.share_before(begin), self.share_before(end)
        drawn = low + (high - low) * rng.random(count)
        hour = np.searchsorted(self._mass, drawn, side="right") - 1
        hour = np.minimum(hour, len(self._edges) - 2)
        within = (drawn - self._mass[hour]) / (self._mass[hour + 1] - self._mass[hour])
        length = self._edges[hour + 1] - self._edges[hour]
        at = self._edges[hour] + np.minimum((within * length).astype(np.int64), length - 1)
        cell = np.searchsorted(self._cells, hour + rng.random(count), side="right")
        return at, np.minimum(cell - hour * self._choices, self._choices - 1)


def delays(rng: np.random.Generator, count: int, quantiles: Quantiles) -> Ints:
    """`count` delays in microseconds from a distribution, straight between its quantiles."""
    shares, seconds = zip(*quantiles, strict=True)
    drawn: Floats = np.interp(rng.random(count), shares, np.array(seconds) * SECOND)
    return drawn.astype(np.int64)
