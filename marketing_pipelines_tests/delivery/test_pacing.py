"""The size of a claim follows the pace of the channel."""

from marketing_pipelines.domains.delivery.pacing import Pace


def test_a_claim_takes_what_a_thread_hands_over_in_the_time_that_is_left() -> None:
    pace = Pace()
    sizes = [pace.size("email", 3.0)]
    for handed_over, seconds in ((20, 0.0), (500, 5.0), (0, 9.0), (50, 50.0), (100, 1.0)):
        pace.note("email", handed_over, seconds)
        sizes.append(pace.size("email", 3.0))
    assert sizes == [20, 500, 300, 300, 20, 300]
    assert pace.size("email", 0.5) == 50
    assert pace.size("sms", 3.0) == 20
