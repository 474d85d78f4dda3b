"""Quiet hours of a zone: they hold from the start to the end, also where clocks change."""

import datetime as dt

import pytest

from marketing_pipelines.domains.delivery.quiet_hours import quiet_until, quiet_zones

NIGHT, NOON = "22:00-07:00", "12:00-14:00"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{text}Z")


# Hours, zone, instant, and the instant until which it is quiet; None: it is not quiet.
CASES = [
    (NOON, "UTC", "03-02 11:59:59", None),
    (NOON, "UTC", "03-02 12:00", "03-02 14:00"),
    (NOON, "UTC", "03-02 13:59:59", "03-02 14:00"),
    (NOON, "UTC", "03-02 14:00", None),
    (NIGHT, "UTC", "03-02 21:59", None),
    (NIGHT, "UTC", "03-02 22:00", "03-03 07:00"),
    (NIGHT, "UTC", "03-03 06:59", "03-03 07:00"),
    (NIGHT, "UTC", "03-03 07:00", None),
    (NIGHT, "Asia/Tokyo", "03-02 13:00", "03-02 22:00"),
    (NIGHT, "Asia/Tokyo", "03-02 12:59", None),
    (NIGHT, "Pacific/Kiritimati", "03-02 08:00", "03-02 17:00"),
    (NIGHT, "Asia/Kathmandu", "03-02 16:15", "03-03 01:15"),
    # The night of 29 March has 8 hours in Berlin, that of 25 October has 10.
    (NIGHT, "Europe/Berlin", "03-28 21:00", "03-29 05:00"),
    (NIGHT, "Europe/Berlin", "03-29 04:59", "03-29 05:00"),
    (NIGHT, "Europe/Berlin", "10-24 20:00", "10-25 06:00"),
    (NIGHT, "Europe/Berlin", "10-25 05:59", "10-25 06:00"),
    # 02:30 is left out on 29 March: the next instant is 03:00, 01:00 in UTC.
    ("02:30-04:00", "Europe/Berlin", "03-29 00:59", None),
    ("02:30-04:00", "Europe/Berlin", "03-29 01:00", "03-29 02:00"),
    ("01:00-02:30", "Europe/Berlin", "03-29 00:59", "03-29 01:00"),
    ("01:00-02:30", "Europe/Berlin", "03-29 01:00", None),
    # 02:30 comes twice on 25 October: a start is the first, an end the second.
    ("02:30-04:00", "Europe/Berlin", "10-25 00:29", None),
    ("02:30-04:00", "Europe/Berlin", "10-25 00:30", "10-25 03:00"),
    ("01:00-02:30", "Europe/Berlin", "10-25 01:29", "10-25 01:30"),
    ("01:00-02:30", "Europe/Berlin", "10-25 01:30", None),
]


@pytest.mark.parametrize(("hours", "zone", "now", "until"), CASES)
def test_it_is_quiet_from_the_start_to_the_end(
    hours: str, zone: str, now: str, until: str | None
) -> None:
    assert quiet_until(hours, zone, at(now)) == (None if until is None else at(until))


def test_the_zones_in_which_it_is_quiet_are_those_where_it_is_night() -> None:
    quiet = quiet_zones(NIGHT, at("03-02 22:00:59"))
    assert quiet["UTC"] == quiet["Europe/London"] == at("03-03 07:00")
    assert quiet["Europe/Berlin"] == at("03-03 06:00")
    assert {"Asia/Tokyo", "America/New_York"}.isdisjoint(quiet)
