"""Days that are out of the ordinary, by robust statistics of the same weekday in eight weeks.

The median and the median absolute deviation do not follow a few odd days among the eight, as mean
and standard deviation do. `docs/sales.md` states how often a quiet day raises an alarm.
"""

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WEEKS = 8
MIN_EARLIER = 6
SPREADS = 4.0
# The median absolute deviation of a normal distribution is its standard deviation over this.
_NORMAL = 1.4826


def earlier_days(day: dt.date) -> list[dt.date]:
    """The same weekday of the eight weeks before a day, the latest first."""
    return [day - dt.timedelta(weeks=week) for week in range(1, WEEKS + 1)]


def judge(values: "pd.Series[float]", earlier: "pd.DataFrame") -> "pd.DataFrame":
    """Compares the value of each metric with its earlier values.

    Args:
        values: The day's value by metric; NaN: not known.
        earlier: The values of earlier days, a column each, by the same index; NaN: not known.

    Returns:
        By the same index: `value`, `expected` (median), `spread`, `earlier` (number of values) and
        `verdict`: `usual`, `above`, `below`; None without a value, and with fewer than six earlier
        values, where `expected` and `spread` are NaN.
    """
    import pandas as pd

    count = earlier.notna().sum(axis=1)
    is_known = count >= MIN_EARLIER
    expected = earlier.median(axis=1).where(is_known)
    deviation = earlier.sub(expected, axis=0).abs().median(axis=1)
    floor = expected.clip(lower=1).pow(0.5)
    spread = (_NORMAL * deviation).where(_NORMAL * deviation > floor, floor)
    distance = values - expected
    verdict = pd.Series("usual", index=values.index, dtype=object)
    verdict = verdict.mask(distance > SPREADS * spread, "above")
    verdict = verdict.mask(-distance > SPREADS * spread, "below")
    return pd.DataFrame(
        {
            "value": values,
            "expected": expected,
            "spread": spread,
            "earlier": count,
            "verdict": verdict.where(is_known & values.notna(), None),
        }
    )
