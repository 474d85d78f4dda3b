"""`why --contact K`: the scores of a contact, point by point, and its lifecycle stage."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.failures import WrongUsageError

if TYPE_CHECKING:
    from marketing_pipelines.domains.leads.explaining import RulePoints, ScoreExplanation


def of_scores(contact: str, organization: str | None, at: str | None) -> None:
    """Prints each point of a contact's scores, and the moves to its stage, at an instant or now."""
    from marketing_pipelines.domains.leads import explaining
    from marketing_pipelines.domains.leads.stages.explaining import sentences_of, tell_stage

    now = dt.datetime.now(dt.UTC) if at is None else _instant(at)
    with connected() as (settings, engine), engine.connect() as connection:
        place = find_contact(connection, contact, organization)
        found = explaining.explain(connection, *place, now=now, reporting_zone=settings.zone)
        stored = explaining.present(connection, place[1]) if at is None else None
        story = tell_stage(connection, place[1], at=None if at is None else now)
    _tell(contact, found, now, stored)
    for sentence in sentences_of(contact, story):
        print(sentence)


def _instant(text: str) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise WrongUsageError(f"--at '{text}' is no instant such as 2026-03-01T13:00:00Z.")
    return instant.astimezone(dt.UTC)


def _tell(contact: str, found: "ScoreExplanation", now: dt.datetime, stored: Any) -> None:
    from marketing_pipelines.domains.segments.explaining import written_instant

    print(f"{contact} at {written_instant(now)}:")
    print(f"intent score {_number(found.intent_score)}, band {found.band}")
    for signal in found.signals:
        lost = f" - {signal.age} d × {_number(signal.decay)}" if signal.age else ""
        print(
            f"  {_number(signal.rest):>5}  {signal.event_type} {_number(signal.points)}{lost}"
            f"  ← event {signal.event_id} at {written_instant(signal.occurred_at)}"
        )
    if not found.signals:
        print("      no signal counts")
    print(f"lead score {found.lead_score}, grade {found.grade}")
    for rule in found.rules:
        _tell_rule(rule)
    if not found.rules:
        print("      no rule earns points")
    for one in found.opportunities:
        print(
            f"opportunity {one.external_id}: score {one.base_score + one.points}, "
            f"base {one.base_score} and {one.points} of {one.days} days"
        )
    if stored is not None:
        shown = (stored.intent_score, stored.intent_band, stored.lead_score, stored.lead_grade)
        score, band, lead, grade = ("none" if value is None else value for value in shown)
        print(f"stored: intent score {score}, band {band}; lead score {lead}, grade {grade}")
    else:
        print("Attributes and segments are those of now; events are those before the instant.")
    if found.same_address:
        print(f"Other contacts with its e-mail address: {', '.join(found.same_address)}.")


def _tell_rule(found: "RulePoints") -> None:
    rule = found.rule
    most = f", at most {rule.most}" if rule.most is not None else ""
    each = {"once": "", "each": " each", "per_day": " a day"}[rule.counts]
    print(f"  {found.points:>5}  {rule.name} ({rule.external_id}): {rule.points}{each}{most}")
    for line in found.lines:
        if line.because and line.holds:
            print(f"           {line.condition}  ← {line.because}")


def _number(value: Any) -> str:
    return f"{value.normalize():f}"
