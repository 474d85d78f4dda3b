"""Generated e-mail activity of several organizations: any number of events, believable, repeatable.

Organizations of very different sizes (Zipf) in their own time zones run the same eight campaigns:
running, completed, cancelled, drafted, and one that has sent nothing yet. Mail follows a funnel
(sent, delivered or bounced, opened by people and machines, clicked, bought), visits the day and
the week of the zone. Some events are late, repeated or odd, as in real files. It reads neither the
present time nor the database; the same arguments give the same bytes.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from marketing_pipelines.failures import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from marketing_pipelines.demo.rhythm import DemoPeriod


def write_files(
    folder: Path,
    *,
    events: int,
    seed: int = 7,
    start: dt.date | None = None,
    until: dt.datetime | None = None,
    days: int = 30,
    organizations: int = 8,
) -> list[tuple[str, Path]]:
    """Write one world and its events into `folder`, which is made where it is missing.

    Args:
        events: rows of the events file, repeated ones included; 0 or more.
        seed: another seed gives another activity; it is part of every event id; 0 or more.
        start: first day; the period is `days` whole days in UTC from it.
        until: instant with a zone at which the period ends, instead of `start`: the `days`
            before it, nothing occurred or received later.
        days: length of the period.
        organizations: number of tenants.

    Returns:
        `(kind, path)` in the order in which `load KIND PATH` takes them.

    Raises:
        BadInputError: an argument is out of range, or not exactly one of `start` and `until`
            is given.
    """
    from marketing_pipelines.demo import entity_files
    from marketing_pipelines.demo.activity import Activity
    from marketing_pipelines.demo.event_batches import EventTexts
    from marketing_pipelines.demo.segments import READERS, write_segments
    from marketing_pipelines.demo.world import build_world

    _check(events=(events, 0), seed=(seed, 0), days=(days, 1), organizations=(organizations, 1))
    world = build_world(_period(start, until, days), events, organizations)
    activity = Activity(world, events, seed)
    folder.mkdir(parents=True, exist_ok=True)
    entities = [
        ("organizations", entity_files.write_organizations(world, folder / "organizations.csv")),
        ("users", entity_files.write_users(world, folder / "users.csv")),
        ("companies", entity_files.write_companies(world, folder / "companies.csv")),
        ("contacts", entity_files.write_contacts(world, folder / "contacts.csv")),
        ("campaigns", entity_files.write_campaigns(world, folder / "campaigns.csv")),
    ]
    target = folder / "events.parquet"
    _write_events(EventTexts(world, events, seed).batches(activity), target)
    enrolments = entity_files.write_campaign_contacts(
        world, activity.mail.stopped_at, folder / "campaign_contacts.csv"
    )
    segments = write_segments(
        (organization.external_id for organization in world.organizations),
        READERS,
        folder / "segments.jsonl",
    )
    return [
        *entities,
        ("campaign_contacts", enrolments),
        ("events", target),
        ("segments", segments),
    ]


def generate_batches(
    *,
    events: int,
    seed: int = 7,
    start: dt.date | None = None,
    until: dt.datetime | None = None,
    days: int = 30,
    organizations: int = 8,
) -> "Iterator[pa.RecordBatch]":
    """The rows of the events file that `write_files` would write, some 200,000 at a time.

    Arguments and errors are as in `write_files`, columns and types as in the events file
    (semantics.md, "Events file"). Roughly in order of `received_at`; memory does not grow with
    `events`.
    """
    from marketing_pipelines.demo.activity import Activity
    from marketing_pipelines.demo.event_batches import EventTexts
    from marketing_pipelines.demo.world import build_world

    _check(events=(events, 0), seed=(seed, 0), days=(days, 1), organizations=(organizations, 1))
    world = build_world(_period(start, until, days), events, organizations)
    return EventTexts(world, events, seed).batches(Activity(world, events, seed))


def _write_events(batches: "Iterator[pa.RecordBatch]", target: Path) -> None:
    """One row group per batch; only columns whose values repeat get a dictionary."""
    import pyarrow.parquet as pq

    from marketing_pipelines.demo.event_batches import SCHEMA

    unique = ("event_id", "occurred_at", "received_at")
    with pq.ParquetWriter(
        target,
        SCHEMA,
        compression="zstd",
        use_dictionary=[name for name in SCHEMA.names if name not in unique],
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _check(**arguments: tuple[int, int]) -> None:
    """Each argument as given, and the least that it may be."""
    for name, (value, least) in arguments.items():
        if value < least:
            raise BadInputError(f"{name} is {value}; it must be {least} or more.")


def _period(start: dt.date | None, until: dt.datetime | None, days: int) -> "DemoPeriod":
    """The period that exactly one of `start` and `until` fixes."""
    from marketing_pipelines.demo.rhythm import DAY, HOUR, DemoPeriod, micros

    if start is not None and until is None:
        begin = micros(dt.datetime(start.year, start.month, start.day, tzinfo=dt.UTC))
        return DemoPeriod(begin, begin + days * DAY)
    if until is None or start is not None:
        raise BadInputError("Give either start or until: one of them fixes the period.")
    if until.tzinfo is None:
        raise BadInputError(f"until is {until}, without a zone; give one, such as UTC.")
    end = micros(until)
    return DemoPeriod((end - days * DAY) // HOUR * HOUR, end)
