"""The kinds of program, as the domains that keep the programs declare them.

A declaration is all that the step engine knows of a kind.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa

PublishStart = Callable[[sa.Connection, int, int, str, dt.datetime, dt.datetime], None]


@dataclass(frozen=True)
class ProgramKind:
    """A kind of program.

    Attributes:
        name: As in the column `program_kind`.
        table: The table of its programs.
        moved_by: Asset key of the job whose passes move its contacts.
        exits_unreachable: True if a contact that cannot be written to leaves the program; otherwise
            it passes the steps that send.
        has_own_events: True if events name its programs as their source, and are counted by program
            and day.
        publish_start: Called when a program is activated by hand, with its organization's number,
            its own number and external id, its start and the present time; None: no event says so.
    """

    name: str
    table: sa.Table
    moved_by: str
    exits_unreachable: bool = False
    has_own_events: bool = False
    publish_start: PublishStart | None = None

    def __str__(self) -> str:
        return self.name


_declared: dict[str, ProgramKind] = {}


def declare(kind: ProgramKind) -> ProgramKind:
    """Makes a kind known."""
    _declared[kind.name] = kind
    return kind


def declared() -> Mapping[str, ProgramKind]:
    """Returns the kinds of the loaded tables (`domains.load_tables`), by name."""
    return MappingProxyType(_declared)
