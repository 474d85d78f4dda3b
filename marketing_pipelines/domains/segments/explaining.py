"""Explains a contact's membership: each condition of the rule, and the row behind it."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.segments import event_names, segment_graph
from marketing_pipelines.domains.segments.buckets import BUCKETS
from marketing_pipelines.domains.segments.compiler import Compiler, Frame, Sources, is_of_type
from marketing_pipelines.domains.segments.preview import (
    require_patterns,
    rule_timeout,
    statement_timeout,
)
from marketing_pipelines.domains.segments.rules import (
    All,
    AnyOf,
    Attribute,
    EventCondition,
    InSegment,
    InShare,
    Not,
    walk,
)
from marketing_pipelines.domains.segments.segment_graph import Catalogue, Definition
from marketing_pipelines.domains.segments.tables import manual_members, memberships
from marketing_pipelines.domains.segments.values import stored
from marketing_pipelines.failures import BadInputError

_COMPARED = ("attribute", "event", "property", "segment", "percent", "activity", "score", "deal")


@dataclass(frozen=True)
class ConditionLine:
    """One condition.

    Attributes:
        path: Path in the rule; empty: the whole.
        depth: Number of groups around it.
        condition: As the rule says it.
        holds: True if it is true of the contact.
        because: The row that decides, in words; empty for groups.
    """

    path: str
    depth: int
    condition: str
    holds: bool
    because: str


@dataclass(frozen=True)
class SegmentExplanation:
    """The state of one contact in one segment.

    Attributes:
        entered_at: Since when it is a member; None: it is none.
        left_at: When it last left; None: never, or it is a member.
        manual: Manual decision: add, remove or None.
        holds: True if the rule is true of it now.
        evaluated_at: Tick up to which the segment's members are right; None: its rule is new, waits
            or failed.
        notes: Types of events in the rule that were never received.
    """

    segment: str
    entered_at: dt.datetime | None
    left_at: dt.datetime | None
    manual: str | None
    holds: bool
    evaluated_at: dt.datetime | None
    lines: list[ConditionLine]
    notes: list[str]


def explain(
    connection: sa.Connection,
    organization_id: int,
    contact_id: int,
    segment: str,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> SegmentExplanation:
    """Evaluates every condition of a segment's rule for one contact, now.

    Raises:
        BadInputError: there is no such segment, or its rule cannot be evaluated.
    """
    catalogue = segment_graph.read(connection, organization_id)
    definition = catalogue.find(segment)
    if definition is None:
        raise BadInputError(f"There is no segment '{segment}': give its external id or its number.")
    if definition.problem is not None:
        raise definition.problem
    frame = segment_graph.frame(
        connection,
        organization_id,
        zone=segment_graph.zone_of(connection, organization_id, reporting_zone),
        now=now,
        segments=segment_graph.Published(catalogue),
    )
    lines = explain_rule(connection, frame, catalogue, contact_id, definition.rule)
    return SegmentExplanation(
        segment=definition.external_id,
        manual=_manual(connection, definition, contact_id),
        holds=lines[0].holds,
        evaluated_at=(
            definition.evaluated_at if definition.evaluated_version == definition.version else None
        ),
        lines=lines,
        notes=list(event_names.notes(definition.rule, frame.event_fields)),
        **_membership(connection, definition, contact_id),
    )


def explain_rule(
    connection: sa.Connection,
    frame: Frame,
    catalogue: Catalogue,
    contact_id: int,
    rule: Any,
    *,
    compiler_of: Callable[[Frame, Sources], Compiler] = Compiler,
    evidence_of: Callable[[Any], str] = lambda condition: "",
) -> list[ConditionLine]:
    """Evaluates every condition of a rule for one contact, at the instant of the frame.

    Args:
        compiler_of: Makes the compiler of the rule's language.
        evidence_of: Finds the row behind a condition that segments do not know.

    Raises:
        RuleError: the organization lacks a thing that it names, or it takes too long.
    """
    one = sa.select(contacts).where(contacts.c.id == contact_id).subquery()
    its_events = (
        sa.select(contact_activity).where(contact_activity.c.contact_id == contact_id).subquery()
    )
    compiler = compiler_of(frame, Sources(one, its_events))
    conditions = list(walk(rule))
    answers = [
        compiler.condition(condition, path).label(f"answer_{place}")
        for place, (condition, path, _) in enumerate(conditions)
    ]
    with statement_timeout(connection, rule_timeout(connection, frame.organization_id)):
        require_patterns(connection, rule)
        holds = connection.execute(sa.select(*answers).select_from(compiler.source)).one()
        return [
            ConditionLine(
                path,
                depth,
                _written(condition),
                bool(answer),
                _evidence(connection, compiler, catalogue, contact_id, condition)
                or evidence_of(condition),
            )
            for (condition, path, depth), answer in zip(conditions, holds, strict=True)
        ]


def _membership(
    connection: sa.Connection, definition: Definition, contact_id: int
) -> dict[str, dt.datetime | None]:
    latest = connection.execute(
        sa.select(memberships.c.entered_at, memberships.c.left_at)
        .where(memberships.c.segment_id == definition.id, memberships.c.contact_id == contact_id)
        .order_by(memberships.c.left_at.desc().nulls_first())
        .limit(1)
    ).first()
    if latest is None:
        return {"entered_at": None, "left_at": None}
    return {"entered_at": None if latest.left_at else latest.entered_at, "left_at": latest.left_at}


def _manual(connection: sa.Connection, definition: Definition, contact_id: int) -> str | None:
    action: str | None = connection.execute(
        sa.select(manual_members.c.action).where(
            manual_members.c.segment_id == definition.id,
            manual_members.c.contact_id == contact_id,
            manual_members.c.action != "clear",
        )
    ).scalar()
    return action


def _evidence(
    connection: sa.Connection,
    compiler: Compiler,
    catalogue: Catalogue,
    contact_id: int,
    condition: Any,
) -> str:
    if isinstance(condition, Attribute):
        document = sa.cast(stored(contacts, condition.attribute).document(), sa.Text)
        value = connection.execute(sa.select(document).where(contacts.c.id == contact_id)).scalar()
        return f"{condition.attribute} is {'missing' if value in (None, 'null') else value}"
    if isinstance(condition, InSegment):
        definition = catalogue.require(condition.segment, "segment")
        since = _membership(connection, definition, contact_id)["entered_at"]
        return f"a member since {written_instant(since)}" if since else "no member"
    if isinstance(condition, EventCondition):
        activity = contact_activity.alias()
        found = (
            sa.select(
                activity.c.event_id, activity.c.occurred_at, sa.func.count().over().label("number")
            )
            .where(
                activity.c.contact_id == contact_id,
                is_of_type(condition, activity.c.event_type),
                compiler.matches(condition, activity),
            )
            .order_by(activity.c.occurred_at.desc(), sa.collate(activity.c.event_id, "C").desc())
            .limit(1)
        )
        latest = connection.execute(found).first()
        if latest is None:
            return "no such event"
        events = "1 event" if latest.number == 1 else f"{latest.number} events, the latest"
        return f"{events} {latest.event_id} at {written_instant(latest.occurred_at)}"
    if isinstance(condition, InShare):
        bucket = connection.execute(
            sa.select(compiler.bucket(condition.random.salt)).select_from(compiler.contact)
        ).scalar_one()
        return f"bucket {bucket} of {BUCKETS}"
    return ""


def _written(condition: Any) -> str:
    for group, name in ((All, "all"), (AnyOf, "any"), (Not, "not")):
        if isinstance(condition, group):
            return name
    return _as_json(condition.model_dump(exclude_unset=True, by_alias=True))


def _as_json(value: Any) -> str:
    """JSON as people write rules: the compared name comes first, and numbers keep their digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        ordered = sorted(value.items(), key=lambda item: item[0] not in _COMPARED)
        return f"{{{', '.join(f'{_as_json(k)}: {_as_json(v)}' for k, v in ordered)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_json, value))}]"
    return json.dumps(value, ensure_ascii=False)


def written_instant(value: dt.datetime) -> str:
    """`2026-03-01T13:00:00Z`, to the second."""
    return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
