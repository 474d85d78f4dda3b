"""The four writers of a brief: contact history, company, open deals, and the synthesis.

Each turns facts into statements that cite their rows; none of them states anything else.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketing_pipelines.domains.sales.assistant.statements import Statement, joined
from marketing_pipelines.domains.sales.briefs.facts import MeetingFacts, Scores

MAX_NAMES = 3
_KINDS = {"email": "e-mail", "call": "call", "meeting": "meeting", "note": "note"}


@dataclass(frozen=True)
class Brief:
    """A brief as it is stored."""

    headline: str
    key_points: list[Statement]
    talking_points: list[Statement]
    questions: list[Statement]


def write_brief(facts: MeetingFacts) -> Brief:
    """The brief that the rules write."""
    return Brief(
        headline=headline(facts),
        key_points=[*contact_history(facts), *open_deals(facts), *company(facts)],
        talking_points=talking_points(facts),
        questions=questions(facts),
    )


def headline(facts: MeetingFacts) -> str:
    """`Meeting in 30 minutes: John Doe @ Acme Corp`."""
    names = [str(person.name) for person in facts.known]
    names += [f"{attendee} (not known)" for attendee in facts.unknown]
    shown = names[:MAX_NAMES]
    if len(names) > MAX_NAMES:
        shown.append(f"{len(names) - MAX_NAMES} more")
    who = joined(shown) if shown else "no attendees"
    at = f" @ {facts.company.name}" if facts.company else ""
    return f"Meeting in {facts.minutes} minutes: {who}{at}"


def contact_history(facts: MeetingFacts) -> Iterator[Statement]:
    """Last contact, the activities before it, open tasks, stage and scores, unknown attendees."""
    for place, activity in enumerate(facts.activities):
        ago = age(facts.tick - activity.occurred_at)
        who = _by(activity, facts)
        kind = _KINDS[activity.kind]
        subject = f", “{activity.subject}”" if activity.subject else ""
        first = f"Last contacted {ago}" if place == 0 else f"Before that {ago}"
        yield Statement(f"{first}: {kind}{who}{subject}", (activity.row,))
    for task in facts.tasks:
        due = f", due {task.due_at:%Y-%m-%d}" if task.due_at else ""
        yield Statement(f"Open task: {task.title}{due}", (f"task:{task.id}",))
    for person in facts.known:
        about = [
            *([str(person.title)] if person.title else []),
            *([f"stage {person.lifecycle_stage}"] if person.lifecycle_stage else []),
            *_scores(facts.scores[person.id]),
        ]
        if about:
            yield Statement(f"{person.name}: {', '.join(about)}", (f"contact:{person.id}",))
    for attendee in facts.unknown:
        yield Statement(f"Not known: {attendee}", (f"meeting:{facts.meeting.id}",))


def company(facts: MeetingFacts) -> Iterator[Statement]:
    """The company, and the competitor that a contact, deal or company names."""
    own = facts.company
    if own is not None:
        about = [text for text in (own.domain, own.industry) if text]
        about += [f"{own.employees} employees"] if own.employees else []
        details = f" ({', '.join(about)})" if about else ""
        yield Statement(f"Company: {own.name}{details}", (f"company:{own.id}",))
    for row, name in competitors(facts):
        yield Statement(f"Competitor: {name}", (row,))


def competitors(facts: MeetingFacts) -> list[tuple[str, str]]:
    """Rows and the competitors that they name, each competitor once."""
    rows = [
        *((f"deal:{deal.id}", deal) for deal in facts.deals),
        *((f"contact:{person.id}", person) for person in facts.known),
        *((f"company:{one.id}", one) for one in facts.companies.values()),
    ]
    found: dict[str, str] = {}
    for row, one in rows:
        if one.competitor:
            found.setdefault(str(one.competitor), row)
    return [(row, name) for name, row in found.items()]


def open_deals(facts: MeetingFacts) -> Iterator[Statement]:
    """Each open deal with its amount and stage."""
    for deal in facts.deals:
        amount = f", {deal.amount}" if deal.amount else ""
        stage = f" ({deal.stage} stage)" if deal.stage else ""
        closes = f", expected on {deal.expected_close_on}" if deal.expected_close_on else ""
        yield Statement(f"Open deal: {deal.name}{amount}{stage}{closes}", (f"deal:{deal.id}",))


def talking_points(facts: MeetingFacts) -> list[Statement]:
    """The synthesis of the facts: topics, each from the rows that suggest it."""
    points = [
        Statement(
            f"Next step for {deal.name}" + (f" after {deal.stage}" if deal.stage else ""),
            (f"deal:{deal.id}",),
            rule="open_deal",
        )
        for deal in facts.deals
    ]
    points += [
        Statement(f"Differences to {name}", (row,), rule="competitor")
        for row, name in competitors(facts)
    ]
    latest = next((one for one in facts.activities if one.subject), None)
    if latest is not None:
        points.append(
            Statement(f"Follow-up on “{latest.subject}”", (latest.row,), rule="last_contact")
        )
    points += [
        Statement(f"State of “{task.title}”", (f"task:{task.id}",), rule="open_task")
        for task in facts.tasks
    ]
    if not facts.deals:
        rows = tuple(f"contact:{person.id}" for person in facts.known)
        points.append(Statement("Needs and priorities", rows, rule="no_deal"))
    return points


def questions(facts: MeetingFacts) -> list[Statement]:
    """Questions that the facts leave open."""
    asked = [Statement("What are the top 3 pain points?", rule="always")]
    asked += [
        Statement(
            f"What is the timeline for a decision on {deal.name}?",
            (f"deal:{deal.id}",),
            rule="no_close_date",
        )
        for deal in facts.deals
        if deal.expected_close_on is None
    ]
    if len(facts.people) <= 1:
        asked.append(Statement("Which other stakeholders are involved?", rule="one_attendee"))
    asked += [
        Statement(
            f"What is the role of {attendee}?",
            (f"meeting:{facts.meeting.id}",),
            rule="unknown_attendee",
        )
        for attendee in facts.unknown
    ]
    return asked


def age(length: dt.timedelta) -> str:
    """`today`, `1 day ago`, `13 days ago`, `2 weeks ago`."""
    days = length // dt.timedelta(days=1)
    if days >= 14:
        return f"{days // 7} weeks ago"
    return {0: "less than a day ago", 1: "1 day ago"}.get(days, f"{days} days ago")


def _by(activity: Any, facts: MeetingFacts) -> str:
    contact = facts.name_of(activity.contact_id)
    if activity.direction == "in":
        return f" from {contact}" + (f" to {activity.user_name}" if activity.user_name else "")
    by = f" by {activity.user_name}" if activity.user_name else ""
    return f"{by} with {contact}"


def _scores(scores: Scores) -> list[str]:
    found = []
    if scores.lead_score is not None:
        found.append(f"lead score {scores.lead_score}")
    if scores.lead_grade is not None:
        found.append(f"grade {scores.lead_grade}")
    if scores.intent_score is not None:
        found.append(f"intent {scores.intent_score}")
    return found
