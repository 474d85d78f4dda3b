"""The size of a claim follows the pace of the channel."""

from marketing_pipelines.domains.delivery.pacing import Pace


def test_a_claim_takes_what_a_thread_hands_over_in_half_a_minute() -> None:
    pace = Pace()
    sizes = [pace.size("email")]
    for handed_over, seconds in ((20, 0.0), (500, 300.0), (0, 9.0), (50, 1_000.0), (100, 30.0)):
        pace.note("email", handed_over, seconds)
        sizes.append(pace.size("email"))
    assert sizes == [20, 500, 50, 50, 20, 100]
    assert pace.size("sms") == 20
