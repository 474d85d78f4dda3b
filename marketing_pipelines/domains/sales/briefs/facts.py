"""The facts of meetings, read for many meetings at once."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.leads import intent, lead_scores
from marketing_pipelines.domains.leads.score_rules import rules_of
from marketing_pipelines.domains.sales.assistant.statements import Facts
from marketing_pipelines.domains.sales.sql_files import read_sql
from marketing_pipelines.domains.segments.preview import statement_timeout


@dataclass(frozen=True)
class Scores:
    """The scores of a contact; None: it has none."""

    lead_score: int | None
    lead_grade: str | None
    intent_score: int | None


@dataclass
class MeetingFacts:
    """Everything that a brief may state; each row as its statement returns it.

    Attributes:
        meeting: The meeting, with its `version`.
        people: Attendees in their order; those without `id` are not known.
        deals: Open deals, the meeting's own first.
        companies: By number: those of the deals and attendees, and of the meeting's own deal.
        activities: The last three, the latest first.
        tasks: Open tasks, the first due first.
        scores: By contact: those stored last, until `score` puts those of the tick.
    """

    meeting: Any
    tick: dt.datetime
    people: list[Any] = field(default_factory=list)
    deals: list[Any] = field(default_factory=list)
    companies: dict[int, Any] = field(default_factory=dict)
    activities: list[Any] = field(default_factory=list)
    tasks: list[Any] = field(default_factory=list)
    scores: dict[int, Scores] = field(default_factory=dict)

    @property
    def minutes(self) -> int:
        """Whole minutes from the tick to the begin."""
        return int((self.meeting.starts_at - self.tick) // dt.timedelta(minutes=1))

    @property
    def known(self) -> list[Any]:
        """The attendees who are contacts."""
        return [person for person in self.people if person.id is not None]

    @property
    def unknown(self) -> list[str]:
        """The attendees who are no contacts, as the meeting names them."""
        return [person.attendee for person in self.people if person.id is None]

    @property
    def company(self) -> Any | None:
        """The company of the meeting's own deal, open or not, else of an open deal or attendee.

        Of several open deals or attendees with a company, the one with the smallest number counts.
        """
        of_people = sorted(self.known, key=lambda person: int(person.id))
        for row in (self.meeting, *self.deals, *of_people):
            if row.company_id in self.companies:
                return self.companies[row.company_id]
        return None

    def name_of(self, contact_id: int | None) -> str | None:
        """The name of an attendee."""
        return next((str(one.name) for one in self.known if one.id == contact_id), None)

    def by_row(self) -> Facts:
        """The facts by the rows that they come from, as JSON."""
        found: dict[str, Any] = {"meeting": f"{self.meeting.starts_at:%Y-%m-%d %H:%M} UTC"}
        found = {f"meeting:{self.meeting.id}": {"title": self.meeting.title, **found}}
        for kind, rows in (
            ("contact", self.known),
            ("deal", self.deals),
            ("company", list(self.companies.values())),
            ("task", self.tasks),
        ):
            found |= {f"{kind}:{row.id}": _plain(row) for row in rows}
        for person in self.known:
            own = asdict(self.scores[person.id])
            found[f"contact:{person.id}"] |= {k: v for k, v in own.items() if v is not None}
        return found | {row.row: _plain(row) for row in self.activities}


def read_facts(
    connection: sa.Connection, meetings: Sequence[Any], tick: dt.datetime
) -> list[MeetingFacts]:
    """The facts of meetings, in their order, with stored scores; reads each kind once for all."""
    asked = {"meetings": [meeting.id for meeting in meetings], "tick": tick}
    connection.exec_driver_sql("drop table if exists brief_attendees")
    connection.execute(read_sql("stage_attendees"), {"meetings": asked["meetings"]})
    by_meeting = {meeting.id: MeetingFacts(meeting, tick) for meeting in meetings}
    for row in connection.execute(read_sql("brief_people")):
        by_meeting[row.meeting_id].people.append(row)
    for row in connection.execute(read_sql("brief_deals"), asked):
        own = by_meeting[row.meeting_id].deals
        if all(deal.id != row.id for deal in own):
            own.append(row)
    for row in connection.execute(read_sql("brief_activities"), {"tick": tick}):
        by_meeting[row.meeting_id].activities.append(row)
    for row in connection.execute(read_sql("brief_tasks"), asked):
        by_meeting[row.meeting_id].tasks.append(row)
    wanted: defaultdict[int, set[int]] = defaultdict(set)
    for number, facts in by_meeting.items():
        rows = (facts.meeting, *facts.deals, *facts.people)
        wanted[number] = {row.company_id for row in rows} - {None}
    numbers = sorted(set().union(*wanted.values())) if wanted else []
    companies_read = {
        row.id: row
        for row in connection.execute(read_sql("brief_companies"), {"companies": numbers})
    }
    for number, facts in by_meeting.items():
        facts.companies = {one: companies_read[one] for one in sorted(wanted[number])}
        facts.scores = {
            one.id: Scores(one.lead_score, one.lead_grade, one.intent_score) for one in facts.known
        }
    return list(by_meeting.values())


def score(connection: sa.Connection, found: Sequence[MeetingFacts], zone: ZoneInfo) -> None:
    """Puts the scores of the tick into the facts of one organization's meetings.

    Args:
        found: With a known attendee at least.
        zone: The reporting zone, for rules of scores.

    Raises:
        BadInputError: the organization's rules or settings cannot be used, or the rules take too
            long.
    """
    organization_id, tick = found[0].meeting.organization_id, found[0].tick
    contacts = sorted({one.id for facts in found for one in facts.known})
    rules = rules_of(connection, organization_id)
    with statement_timeout(
        connection, lead_scores.longest_seconds(connection, organization_id, rules)
    ):
        scores = _scores_at(connection, organization_id, contacts, tick, zone)
    for facts in found:
        facts.scores = {one.id: scores[one.id] for one in facts.known}


def _scores_at(
    connection: sa.Connection,
    organization_id: int,
    contacts: list[int],
    tick: dt.datetime,
    zone: ZoneInfo,
) -> dict[int, Scores]:
    """The scores at the tick."""
    lead = lead_scores.scores_at(connection, organization_id, tick, zone, contacts)
    intent_of = intent.scores_at(connection, organization_id, tick, contacts).subquery("intents")
    intents = {
        row.contact_id: row.score
        for row in connection.execute(
            sa.select(intent_of.c.contact_id, intent.rounded(intent_of.c.score).label("score"))
        )
    }
    return {
        row.contact_id: Scores(row.score, row.grade, intents.get(row.contact_id, 0))
        for row in connection.execute(lead)
    }


def _plain(row: Any) -> dict[str, Any]:
    left_out = (
        "lead_score",
        "lead_grade",
        "intent_score",
        "id",
        "meeting_id",
        "is_own",
        "row",
        "company_id",
        "contact_id",
        "attendee",
    )
    return {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in row._mapping.items()
        if value is not None and name not in left_out
    }
