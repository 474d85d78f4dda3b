"""The standing of an endpoint: what each attempt changes about it.

Five failures in a row make it failing: a single delivery probes it after growing delays, and the
first success makes it active again. It is disabled at once by the answer 410, and after some days
without a success. It may ask for a pause so many times in a row; further ones count as failures.
"""

import datetime as dt
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from marketing_pipelines.failures import BadInputError

FAILING_AFTER = 5
MAX_PAUSES = 20
# An attempt that takes longer makes its endpoint slow, until none did for `SLOW_FOR`.
QUICK = dt.timedelta(seconds=2)
SLOW_FOR = dt.timedelta(minutes=10)
DELAYS = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 2 * 3_600, 5 * 3_600, 8 * 3_600, 8 * 3_600)
)
MAX_ATTEMPTS = len(DELAYS) + 1


class UnknownEndpointError(BadInputError):
    """There is no endpoint with this number."""

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"There is no webhook endpoint {endpoint_id}.")


class Result(Enum):
    """The result of an attempt."""

    SUCCESS = auto()
    FAILURE = auto()
    GONE = auto()
    PAUSE = auto()
    # Nothing was sent: no key opens the secret.
    UNSIGNED = auto()


@dataclass(frozen=True)
class EndpointStanding:
    """The columns of an endpoint that attempts change.

    Attributes:
        state: active, failing or disabled.
        failures: Failed attempts since the latest success.
        failing_since: First attempt without success since the latest success.
        probe_at: While it is failing, the next attempt is not before this.
        quiet_until: No attempt before this, as the receiver asked.
        pauses: Pauses since the latest success.
        slow_at: Latest attempt that took long; None: none did for some time.
    """

    state: str
    failures: int
    failing_since: dt.datetime | None
    probe_at: dt.datetime | None
    quiet_until: dt.datetime | None
    pauses: int
    slow_at: dt.datetime | None
    error: str | None
    last_ok_at: dt.datetime | None
    disabled_at: dt.datetime | None

    @classmethod
    def of(cls, row: Any) -> "EndpointStanding":
        """The standing in a row of `webhooks.endpoints`."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})

    def next_attempt_at(self) -> dt.datetime | None:
        """The instant before which the endpoint gets no attempt; None: it may get one now."""
        return max(filter(None, (self.probe_at, self.quiet_until)), default=None)

    @property
    def may_pause(self) -> bool:
        """Returns true if a pause that the receiver asks for uses no attempt."""
        return self.pauses < MAX_PAUSES

    def after(
        self,
        result: Result,
        at: dt.datetime,
        *,
        error: str | None,
        pause: dt.timedelta,
        took: dt.timedelta,
        disable_after: dt.timedelta,
    ) -> "EndpointStanding":
        """The standing after an attempt.

        Args:
            at: When the attempt ended.
            pause: The time without attempts; of `PAUSE` and `UNSIGNED`.
            took: Length of the attempt.
            disable_after: The time without a success that disables an endpoint.
        """
        if self.state == "disabled":
            return self
        slow_at = self.slow_at
        if took > QUICK:
            slow_at = at
        elif slow_at is not None and at >= slow_at + SLOW_FOR:
            slow_at = None
        timed = replace(self, slow_at=slow_at)
        if result is Result.FAILURE and self.probe_at is not None and at < self.probe_at:
            # It was under way when the endpoint began to fail, and is no probe.
            return timed
        if result is Result.SUCCESS:
            return EndpointStanding("active", 0, None, None, None, 0, slow_at, None, at, None)
        since = self.failing_since or at
        changed = replace(timed, failing_since=since, error=error)
        if result in (Result.PAUSE, Result.UNSIGNED):
            # Attempts that were under way when a pause began ask for the same one.
            is_new = self.quiet_until is None or at >= self.quiet_until
            pauses = self.pauses + (result is Result.PAUSE and is_new)
            changed = replace(changed, quiet_until=at + pause, pauses=pauses)
        elif result is Result.FAILURE:
            failures = self.failures + 1
            changed = replace(changed, failures=failures)
            if failures >= FAILING_AFTER:
                delay = DELAYS[min(failures - FAILING_AFTER, len(DELAYS) - 1)]
                changed = replace(changed, state="failing", probe_at=at + delay)
        if result is Result.GONE or at >= since + disable_after:
            changed = replace(
                changed, state="disabled", probe_at=None, quiet_until=None, disabled_at=at
            )
        return changed
