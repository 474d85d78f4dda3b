"""The plan that the workers of a pass share, and the counts of their results."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
from marketing_pipelines.domains.lifecycle.endings import Ending
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind

BATCH = 20_000


@dataclass(frozen=True)
class PassPlan:
    """The plan that the workers of a pass share, and the faults that they find in its steps.

    Attributes:
        kind: Of the programs.
        tick: Contacts that are due at it are moved.
        zone: The reporting zone.
        batch: Contacts claimed at once.
        programs: Ids of programs with due contacts, ascending.
        planned: Their steps; an error that one worker finds in a step applies to the others at
            their next batch.
        messages: Messages of the steps that send, by step.
        contents: Content of a step's messages, by step.
        endpoints: Webhook endpoints, by step.
        campaigns: Numbers of campaigns that steps name, by organization and external id.
        endings: The conditions of the programs' exits and goals.
        quarantined: Contacts taken out lately, by program, for programs that lost any in this pass.
        guard: Held while they are counted.
    """

    kind: ProgramKind
    tick: dt.datetime
    zone: ZoneInfo
    batch: int
    programs: Sequence[int]
    planned: Sequence[PlannedStep]
    messages: Mapping[int, Outgoing]
    contents: Mapping[int, int]
    endpoints: Mapping[int, int]
    campaigns: Mapping[tuple[int, str], int]
    endings: Sequence[Ending] = ()
    quarantined: dict[int, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Moved:
    """Counts of moved contacts.

    Attributes:
        taken: Due contacts that were claimed.
        moved_on: Contacts among them that changed their place, began to wait or ended.
        outcomes: Steps that were done, by their type and outcome.
        ended: Enrolments that ended, by status.
        quarantined: Contacts who were taken out because their step cannot be done.
    """

    taken: int = 0
    moved_on: int = 0
    batches: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0

    def add(self, other: "Moved") -> None:
        """Adds the counts of another."""
        self.taken += other.taken
        self.moved_on += other.moved_on
        self.batches += other.batches
        self.outcomes.update(other.outcomes)
        self.ended.update(other.ended)
        self.quarantined += other.quarantined
