"""Explains the scores of a contact at an instant: each point, its rule, its row and its decay."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads import intent, lead_scores
from marketing_pipelines.domains.leads.condition_compiler import StageCompiler, timeline
from marketing_pipelines.domains.leads.conditions import ActivityCondition
from marketing_pipelines.domains.leads.score_rules import ScoreRule, rules_of
from marketing_pipelines.domains.leads.statements import read_sql
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import Frame
from marketing_pipelines.domains.segments.explaining import (
    ConditionLine,
    explain_rule,
    written_instant,
)


@dataclass(frozen=True)
class RulePoints:
    """The points of one score rule, and the rows behind them.

    Attributes:
        lines: The conditions of the rule, with the row that decides each.
    """

    rule: ScoreRule
    points: int
    lines: list[ConditionLine]


@dataclass(frozen=True)
class ScoreExplanation:
    """The scores of one contact at an instant.

    Attributes:
        intent_score: Sum of the decayed points of the signals, not rounded.
        signals: Rows of `intent.signals_at`, the oldest first.
        rules: The rules that earn points; others are left out.
        opportunities: Rows with `external_id`, `base_score` and `points`.
        same_address: External ids of other contacts with its e-mail address.
    """

    intent_score: Decimal
    band: str
    signals: Sequence[Any]
    lead_score: int
    grade: str
    rules: list[RulePoints]
    opportunities: Sequence[Any]
    same_address: list[str]


def explain(
    connection: sa.Connection,
    organization_id: int,
    contact_id: int,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> ScoreExplanation:
    """Computes the scores of a contact at an instant.

    Raises:
        BadInputError: settings, the zone or a rule of the organization cannot be used.
    """
    settings = settings_of(connection, organization_id).intent
    counted = intent.signals_at(settings, organization_id, now, [contact_id])
    signals = connection.execute(counted.order_by("occurred_at", "event_id")).all()
    total = sum((row.rest for row in signals), start=Decimal(0))
    band = connection.execute(
        sa.select(intent.band(sa.literal(total, sa.Numeric), settings))
    ).scalar_one()
    chosen = (connection, organization_id, now, reporting_zone, [contact_id])
    lead = connection.execute(lead_scores.scores_at(*chosen)).one()
    points = connection.execute(lead_scores.points_at(*chosen)).one()._mapping
    values = {"contact_id": contact_id}
    return ScoreExplanation(
        intent_score=total,
        band=band,
        signals=signals,
        lead_score=lead.score,
        grade=lead.grade,
        rules=_explained(connection, organization_id, contact_id, now, reporting_zone, points),
        opportunities=connection.execute(
            read_sql("opportunities_of_contact"), values | {"date": now.astimezone(reporting_zone)}
        ).all(),
        same_address=list(connection.execute(read_sql("same_address"), values).scalars()),
    )


def present(connection: sa.Connection, contact_id: int) -> Any:
    """The stored scores of a contact."""
    stored = contacts.c
    return connection.execute(
        sa.select(
            stored.intent_score, stored.intent_band, stored.lead_score, stored.lead_grade
        ).where(stored.id == contact_id)
    ).one()


def _explained(
    connection: sa.Connection,
    organization_id: int,
    contact_id: int,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
    points: Any,
) -> list[RulePoints]:
    catalogue = segment_graph.read(connection, organization_id)
    frame: Frame = segment_graph.frame(
        connection,
        organization_id,
        zone=segment_graph.zone_of(connection, organization_id, reporting_zone),
        now=now,
        segments=segment_graph.Published(catalogue),
    )
    scores = intent.scores_at(connection, organization_id, now, [contact_id])
    found = []
    for place, rule in enumerate(rules_of(connection, organization_id)):
        earned = points.get(f"rule_{place}")
        if earned:
            asked = rule.rule if rule.counts == "once" else lead_scores.windowed(rule.rule)
            lines = explain_rule(
                connection,
                frame,
                catalogue,
                contact_id,
                asked,
                compiler_of=lambda own, sources: lead_scores.compiler_of(own, sources, scores),
                evidence_of=lambda condition: _activity(connection, frame, contact_id, condition),
            )
            found.append(RulePoints(rule, earned, lines))
    return found


def _activity(connection: sa.Connection, frame: Frame, contact_id: int, condition: Any) -> str:
    """The latest activity behind a condition; empty for other conditions."""
    if not isinstance(condition, ActivityCondition):
        return ""
    latest = connection.execute(
        sa.select(timeline.c.kind, timeline.c.occurred_at, sa.func.count().over().label("number"))
        .where(StageCompiler(frame).is_activity(condition), timeline.c.contact_id == contact_id)
        .order_by(timeline.c.occurred_at.desc())
        .limit(1)
    ).first()
    if latest is None:
        return "no such activity"
    counted = "1 activity" if latest.number == 1 else f"{latest.number} activities, the latest"
    return f"{counted} {latest.kind} at {written_instant(latest.occurred_at)}"
