"""The due times of actions that come again and again, by the project's one calculator of ticks."""

import datetime as dt
from zoneinfo import ZoneInfo

from marketing_pipelines import policies
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.cron import clock_zone, last_tick, ticks

NAMED = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1"}
# A due time that no run took for so long was missed.
LATE = dt.timedelta(hours=1)
_MOMENT = dt.timedelta(microseconds=1)


def cron_of(every: str) -> str:
    """The five fields of a repetition.

    Raises:
        BadInputError: it is none.
    """
    try:
        return policies.five_fields(NAMED.get(every, every))
    except ValueError:
        raise BadInputError(
            f"every: '{every[:60]}' is none of {', '.join(NAMED)} and no cron of five fields."
        ) from None


def first_due(cron: str, zone: str, since: dt.datetime) -> dt.datetime:
    """The first due time from an instant on.

    Raises:
        BadInputError: the cron has none.
    """
    try:
        return next(ticks(cron, _clock(cron, zone), since))
    except ValueError:
        raise BadInputError(f"every: '{cron}' never comes.") from None


class Due:
    """The due times of a repetition around an instant, computed once for each cron and zone."""

    def __init__(self, now: dt.datetime) -> None:
        self._now = now
        self._known: dict[tuple[str, str, dt.datetime], tuple[dt.datetime, dt.datetime]] = {}

    def of(
        self, cron: str, zone: str, next_at: dt.datetime, until: dt.datetime | None
    ) -> tuple[dt.datetime, dt.datetime | None]:
        """Returns the due time to take, the latest that has come, and the one after it.

        Args:
            next_at: The earliest due time that no run took.
            until: No due time is this instant or later; None: without end.
        """
        bound = self._now if until is None else min(self._now, until - _MOMENT)
        key = (cron, zone, bound)
        if key not in self._known:
            clock = _clock(cron, zone)
            self._known[key] = (
                last_tick(cron, clock, bound),
                first_due(cron, zone, self._now + _MOMENT),
            )
        latest, following = self._known[key]
        is_over = until is not None and following >= until
        return max(next_at, latest), None if is_over else following


def _clock(cron: str, zone: str) -> str:
    return clock_zone(cron, ZoneInfo(zone)).key
