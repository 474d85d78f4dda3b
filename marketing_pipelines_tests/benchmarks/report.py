"""Measurements with their limits, as a table and as JSON."""

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from marketing_pipelines.cli.output import print_table


@dataclass(frozen=True)
class Measured:
    """One line of the table; `limit` None = reported only."""

    benchmark: str
    numbers: list[float]
    unit: str
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.numbers)

    @property
    def of_limit(self) -> float | None:
        """Measured over limit."""
        return None if self.limit is None else self.median / self.limit

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        held = self.median >= self.limit if self.at_least else self.median <= self.limit
        return "held" if held else "MISSED"


class Report:
    """Collects results, saying each as it comes."""

    def __init__(self) -> None:
        self.results: list[Measured] = []
        self._started = time.monotonic()
        self._loads = [os.getloadavg()[0]]

    def say(self, text: str) -> None:
        """A line of progress."""
        load = os.getloadavg()[0]
        self._loads.append(load)
        seconds = time.monotonic() - self._started
        print(f"[{seconds:6.0f} s, load {load:.1f}] {text}", file=sys.stderr, flush=True)

    def add(self, result: Measured) -> None:
        """A result."""
        self.results.append(result)
        self.say(" ".join(cell for cell in _cells(result) if cell))

    def print(self) -> None:
        """The table, and on what it was measured."""
        header = ["benchmark", "median", "limit", "of limit", "verdict", "note"]
        print_table(header, [_cells(result) for result in self.results])
        print(f"\n{self._machine()}")

    def write(self, path: Path, events: int) -> None:
        """Everything as JSON."""
        results = [
            asdict(r) | {"median": r.median, "of_limit": r.of_limit, "verdict": r.verdict}
            for r in self.results
        ]
        content = {"events": events, "machine": self._machine(), "results": results}
        path.write_text(json.dumps(content, indent=2) + "\n")

    def _machine(self) -> str:
        memory = round(psutil.virtual_memory().total / 2**30)
        low, middle, high = (f(self._loads) for f in (min, statistics.median, max))
        return (
            f"{psutil.cpu_count()} cores, {memory} GiB, Python {platform.python_version()}; load "
            f"average {low:.1f} to {high:.1f} (median {middle:.1f}) with the benchmark's own work"
        )


def _cells(result: Measured) -> list[str]:
    spread = ""
    if len(result.numbers) > 1:
        low, high = _text(min(result.numbers)), _text(max(result.numbers))
        spread = f"{low}–{high} in {len(result.numbers)}"
    limit = ""
    if result.limit is not None:
        limit = f"{'≥' if result.at_least else '≤'} {_text(result.limit)} {result.unit}"
    of_limit = "" if result.of_limit is None else f"{result.of_limit:.2f}"
    note = "; ".join(part for part in (result.note, spread) if part)
    value = f"{_text(result.median)} {result.unit}"
    return [result.benchmark, value, limit, of_limit, result.verdict, note]


def _text(number: float) -> str:
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.0f}" if number >= 100 else f"{number:.2f}".rstrip("0").rstrip(".")
