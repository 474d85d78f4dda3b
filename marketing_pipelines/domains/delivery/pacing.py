"""Sizes of claims: a worker takes what it hands over in the rest of its round."""

MIN_BATCH, MAX_BATCH = 20, 500


class Pace:
    """The messages a second that one thread of this process hands over, by line.

    A slow server gets small claims, so that no claimed message outlives its lease, and few go back
    when the round is over.
    """

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def size(self, line: str, seconds: float) -> int:
        """The most messages that the next claim takes, with so much time left."""
        number = round(self._rates.get(line, 0.0) * seconds)
        return min(max(number, MIN_BATCH), MAX_BATCH)

    def note(self, line: str, handed_over: int, seconds: float) -> None:
        """Adapts the size to a batch; one that handed nothing over says nothing."""
        if handed_over:
            self._rates[line] = handed_over / max(seconds, 0.001)
