"""False alarms of the rule for odd days on quiet years, and the jumps that it finds.

`python -m marketing_pipelines_tests.benchmarks.quiet_years` writes the table into `docs/sales.md`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from marketing_pipelines.domains.sales.daily.anomalies import WEEKS, judge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sales.md"
MEANS = (3, 20, 100, 400)
YEARS = 200
BEGIN, END = "<!-- quiet years -->", "<!-- /quiet years -->"
# Shares of the days of a week in its mean: fewer on weekends.
_WEEKDAYS = np.array([1.1, 1.1, 1.2, 1.2, 1.1, 0.7, 0.6])


@dataclass(frozen=True)
class Row:
    """The shares of days with an alarm, for one mean per day.

    Attributes:
        false_alarms: Of quiet days.
        up_by_half: Of days with half as much again.
        down_by_half: Of days with half of it.
        doubled: Of days with twice as much.
    """

    mean: int
    days: int
    false_alarms: float
    up_by_half: float
    down_by_half: float
    doubled: float


def measure(means: Sequence[int] = MEANS, *, years: int = YEARS, seed: int = 7) -> list[Row]:
    """Draws years of Poisson numbers and judges each day by the eight weeks before it."""
    return [_measured(mean, years, np.random.default_rng([seed, mean])) for mean in means]


def _measured(mean: int, years: int, random: np.random.Generator) -> Row:
    weeks = 52 + WEEKS
    rates = mean * np.tile(_WEEKDAYS, (years, weeks, 1))
    quiet = random.poisson(rates).astype(float)
    judged = slice(WEEKS, None)
    earlier = pd.DataFrame(
        np.stack([quiet[:, WEEKS - n : weeks - n].ravel() for n in range(1, WEEKS + 1)], axis=1)
    )

    def alarms(factor: float) -> float:
        days = quiet if factor == 1 else random.poisson(rates * factor).astype(float)
        values = pd.Series(days[:, judged].ravel())
        return float((judge(values, earlier)["verdict"] != "usual").mean())

    shares = [alarms(factor) for factor in (1, 1.5, 0.5, 2)]
    return Row(mean, len(earlier), *shares)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| mean per day | quiet days | false alarms | +50 % found | −50 % found | ×2 found |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.mean} | {row.days:,} | {row.false_alarms:.2%} | {row.up_by_half:.1%} |"
        f" {row.down_by_half:.1%} | {row.doubled:.1%} |"
        for row in rows
    ]
    return "\n".join(lines)


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Replaces the table of the page."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    page.write_text(between.sub(f"{BEGIN}\n{table(rows)}\n{END}", text), encoding="utf-8")


if __name__ == "__main__":
    measured = measure()
    write(measured)
    print(table(measured))
