"""Sizes of claims: a worker takes what it hands over in a fraction of a lease."""

import datetime as dt

MIN_BATCH, MAX_BATCH = 20, 500
SPAN = dt.timedelta(seconds=30)


class Pace:
    """The messages that one thread of this process hands over in `SPAN`, by channel.

    A slow server gets small claims, so that no claimed message outlives its lease.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def size(self, channel: str) -> int:
        """The most messages that the next claim takes."""
        return self._sizes.get(channel, MIN_BATCH)

    def note(self, channel: str, handed_over: int, seconds: float) -> None:
        """Adapts the size to a batch; one that handed nothing over says nothing."""
        if handed_over:
            number = handed_over * SPAN.total_seconds() / max(seconds, 0.001)
            self._sizes[channel] = round(min(max(number, MIN_BATCH), MAX_BATCH))
