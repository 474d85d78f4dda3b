"""The rate of calls to a service."""

import time


class Spacing:
    """Starts of calls, no more than a number in any span of time.

    Args:
        calls: Calls in `seconds`; they start evenly spaced.
    """

    def __init__(self, calls: float, seconds: float) -> None:
        self._gap = seconds / calls
        self._next = 0.0

    def wait(self) -> None:
        """Waits for the next start."""
        pause = self._next - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._next = max(self._next, time.monotonic()) + self._gap
