"""Printing rehearsals of programs, and their progress."""

import contextlib
import dataclasses
import datetime as dt
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from marketing_pipelines.cli.output import print_json, print_table

if TYPE_CHECKING:
    from marketing_pipelines.domains.rehearsals.outcome import MessageCount, Rehearsal

# Contacts whose timelines are printed; JSON has them all.
PRINTED = 5


@contextlib.contextmanager
def showing_progress(days: int) -> Iterator[Callable[[float], None]]:
    """A bar of the rehearsed days on standard error, if it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{days} days", total=1.0)
        yield lambda share: progress.update(task, completed=share)


def print_rehearsal(found: "Rehearsal", *, as_json: bool) -> None:
    """Prints a rehearsal as tables, or whole as JSON."""
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print(
        f"{found.program} of {found.organization} with {_counted(found.contacts, 'contact')} from "
        f"{_minute(found.starts_at)} to {_minute(found.ends_at)} ({found.seconds:.1f} s):"
    )
    for heading, sentences in (("Problems", found.problems), ("Notes", found.notes)):
        if sentences:
            print(f"\n{heading}")
            for sentence in sentences:
                print(f"- {sentence}")
    if found.steps:
        print("\nSteps")
        print_table(
            ("step", "type", "outcome", "contacts", "first", "last"),
            [
                (
                    one.step,
                    one.type,
                    one.outcome,
                    one.contacts,
                    one.first_at and _minute(one.first_at),
                    one.last_at and _minute(one.last_at),
                )
                for one in found.steps
            ],
        )
    if found.messages:
        print("\nMessages")
        print_table(
            ("step", "channel", "state", "messages", "because", "late", "late by"),
            [_message(one) for one in found.messages],
        )
    if found.days:
        print("\nDays")
        print_table(
            ("day", "step", "channel", "messages"),
            [dataclasses.astuple(one) for one in found.days],
        )
    print("\nContacts at the end")
    print_table(("status", "because", "contacts"), found.ended)
    _print_timelines(found)


def _print_timelines(found: "Rehearsal") -> None:
    contacts = list(dict.fromkeys(one.contact for one in found.timelines))
    shown = set(contacts[:PRINTED])
    if not shown:
        return
    more = f", {PRINTED} of {len(contacts):,}; --json has all" if contacts[PRINTED:] else ""
    print(f"\nTimelines{more}")
    print_table(
        ("contact", "at", "step", "what", "because"),
        [
            (one.contact, _minute(one.at), one.step, one.what, one.reason)
            for one in found.timelines
            if one.contact in shown
        ],
    )


def _message(one: "MessageCount") -> tuple[object, ...]:
    late_by = "" if one.late_by is None else str(one.late_by)
    return one.step, one.channel, one.state, one.messages, one.reason, one.late or "", late_by


def _minute(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}Z"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
