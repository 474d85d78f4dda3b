"""Instants as options of commands."""

import datetime as dt

from marketing_pipelines.failures import BadInputError


def instant_of(option: str, text: str) -> dt.datetime:
    """The instant that an option gives, in UTC.

    Raises:
        BadInputError: the text is no instant, or has no zone.
    """
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInputError(
            f"{option} '{text[:60]}' is no instant with a zone, such as 2026-03-01T09:00:00Z."
        )
    return found.astimezone(dt.UTC)
