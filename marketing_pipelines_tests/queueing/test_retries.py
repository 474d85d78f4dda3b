"""The arithmetic of retry ladders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketing_pipelines.queueing.retries import Retry

CHANCES = st.floats(0, 1, exclude_max=True)
SECONDS = st.floats(0, 86_400)


@pytest.mark.parametrize(
    ("ladder", "delays"),
    [
        (Retry.listed(1, 2, 4), [1, 2, 4]),
        (Retry.listed(1, 5, 30), [1, 5, 30]),
        (Retry.fixed(5, times=2), [5, 5]),
        (Retry.linear(2, times=4), [2, 4, 6, 8]),
        (Retry.exponential(2, times=3), [2, 4, 8]),
        (Retry.exponential(1, times=3, factor=5), [1, 5, 25]),
        (Retry.listed(), []),
    ],
)
def test_every_ladder_is_its_delays(ladder: Retry, delays: list[float]) -> None:
    attempts = range(1, len(delays) + 1)
    assert [ladder.delay_after(attempt, 0.0) for attempt in attempts] == delays
    assert ladder.delay_after(len(delays) + 1, 0.0) is None
    assert ladder.attempts == len(delays) + 1


@given(st.lists(SECONDS, max_size=8), st.floats(0, 1), CHANCES)
def test_a_wait_is_never_shorter_than_listed_and_longer_by_the_jitter_at_most(
    delays: list[float], jitter: float, chance: float
) -> None:
    ladder = Retry.listed(*delays, jitter=jitter)
    for attempt, listed in enumerate(delays, start=1):
        wait = ladder.delay_after(attempt, chance)
        assert wait is not None
        assert listed <= wait <= listed * (1 + jitter)


@given(st.lists(SECONDS, max_size=8), st.integers(1, 20), CHANCES)
def test_the_ladder_ends_after_its_last_delay(
    delays: list[float], attempt: int, chance: float
) -> None:
    ladder = Retry.listed(*delays)
    assert (ladder.delay_after(attempt, chance) is None) == (attempt >= ladder.attempts)


@given(SECONDS, st.integers(0, 8), CHANCES)
def test_fixed_and_linear_ladders_agree_on_their_first_delay(
    seconds: float, times: int, chance: float
) -> None:
    fixed, linear = Retry.fixed(seconds, times=times), Retry.linear(seconds, times=times)
    assert fixed.delay_after(1, chance) == linear.delay_after(1, chance)
    assert fixed.attempts == linear.attempts == times + 1


@pytest.mark.parametrize(("delays", "jitter"), [((-1,), 0.1), ((1,), -0.1), ((1,), 1.5)])
def test_a_ladder_that_goes_back_in_time_is_refused(
    delays: tuple[float, ...], jitter: float
) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Retry(delays, jitter)
