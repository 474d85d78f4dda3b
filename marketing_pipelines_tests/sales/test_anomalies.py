"""The rule for days that are out of the ordinary, at its bounds."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketing_pipelines.domains.sales.daily.anomalies import earlier_days, judge
from marketing_pipelines_tests.benchmarks.quiet_years import measure

NAN = float("nan")


def judged(value: float, *earlier: float) -> tuple[Any, ...]:
    """Expected value, spread, number of earlier values and verdict."""
    days = pd.DataFrame([[*earlier, *[NAN] * (8 - len(earlier))]], index=["deals"])
    row = judge(pd.Series([value], index=["deals"]), days).loc["deals"]
    return row["expected"], round(row["spread"], 4), row["earlier"], row["verdict"]


def test_the_earlier_days_are_the_same_weekday_of_eight_weeks() -> None:
    days = earlier_days(dt.date(2026, 4, 3))
    assert (days[0], days[-1], len(days)) == (dt.date(2026, 3, 27), dt.date(2026, 2, 6), 8)
    assert {day.weekday() for day in days} == {4}


@pytest.mark.parametrize(
    ("value", "verdict"), [(45, "usual"), (46, "above"), (5, "usual"), (4, "below")]
)
def test_an_alarm_lies_beyond_four_roots_of_the_median(value: float, verdict: str) -> None:
    assert judged(value, *[25] * 8) == (25, 5, 8, verdict)


@pytest.mark.parametrize(
    ("value", "verdict"), [(84, "usual"), (85, "above"), (-34, "usual"), (-35, "below")]
)
def test_a_wide_spread_is_that_of_the_earlier_values(value: float, verdict: str) -> None:
    """Four times 1.4826 × 10 is 59.3."""
    assert judged(value, *(15, 35) * 4) == (25, 14.826, 8, verdict)


def test_few_sales_have_a_spread_of_at_least_one() -> None:
    assert judged(4, *[0] * 8) == (0, 1, 8, "usual")
    assert judged(5, *[0] * 8) == (0, 1, 8, "above")


def test_fewer_than_six_earlier_values_make_no_verdict() -> None:
    assert judged(500, *[25] * 6)[2:] == (6, "above")
    expected, spread, count, verdict = judged(500, *[25] * 5)
    assert np.isnan(expected)
    assert np.isnan(spread)
    assert (count, verdict) == (5, None)


def test_a_day_without_a_value_has_no_verdict() -> None:
    assert judged(NAN, *[25] * 8) == (25, 5, 8, None)


def test_odd_days_among_the_eight_do_not_hide_a_jump() -> None:
    assert judged(100, 25, 26, 24, 25, 900, 25, 0, 26)[3] == "above"


def test_quiet_days_hardly_ever_alarm_and_jumps_do() -> None:
    """A small form of the table in `docs/sales.md`."""
    [row] = measure([100], years=6, seed=3)
    assert row.false_alarms <= 0.005
    assert row.doubled > 0.99
    assert row.up_by_half > 0.5
