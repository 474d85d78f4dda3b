"""Retry ladders: how long a task waits after each failed attempt, and how many attempts it has."""

from dataclasses import dataclass

JITTER = 0.1


@dataclass(frozen=True)
class Retry:
    """A ladder, written as the delays themselves.

    Attributes:
        delays: Seconds to wait after the first failed attempt, the second, and so on; after one
            attempt more than there are delays the task is a dead letter.
        jitter: A wait is never shorter than listed, and longer by at most this part of it, so that
            tasks that failed together do not come back together.
    """

    delays: tuple[float, ...]
    jitter: float = JITTER

    def __post_init__(self) -> None:
        if any(delay < 0 for delay in self.delays) or not 0 <= self.jitter <= 1:
            raise ValueError("Delays are not negative, and the jitter is between 0 and 1.")

    @classmethod
    def listed(cls, *delays: float, jitter: float = JITTER) -> "Retry":
        """These delays: `listed(1, 2, 4)`."""
        return cls(delays, jitter)

    @classmethod
    def fixed(cls, delay: float, *, times: int, jitter: float = JITTER) -> "Retry":
        """The same delay each time."""
        return cls((delay,) * times, jitter)

    @classmethod
    def linear(cls, step: float, *, times: int, jitter: float = JITTER) -> "Retry":
        """Waits `step`, twice `step`, three times `step`, and so on."""
        return cls(tuple(step * number for number in range(1, times + 1)), jitter)

    @classmethod
    def exponential(
        cls, first: float, *, times: int, factor: float = 2.0, jitter: float = JITTER
    ) -> "Retry":
        """`first`, then each `factor` times the one before."""
        return cls(tuple(first * factor**number for number in range(times)), jitter)

    @property
    def attempts(self) -> int:
        """The number of attempts in all."""
        return len(self.delays) + 1

    def delay_after(self, attempt: int, chance: float) -> float | None:
        """Seconds to wait after a failed attempt; None after the last.

        Args:
            attempt: The attempt that failed, from 1.
            chance: A random number in [0, 1).
        """
        if attempt > len(self.delays):
            return None
        return self.delays[attempt - 1] * (1 + self.jitter * chance)
