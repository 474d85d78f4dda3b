"""Names in rules and settings that the organization does not have, found before a job meets them.

Files that come later may bring them, so they are notes and no errors.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.tables import sequences
from marketing_pipelines.domains.crm.deals.tables import deals
from marketing_pipelines.domains.crm.lead_settings import SIGNAL_POINTS
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.stage_settings import Recycling
from marketing_pipelines.domains.crm.tables import organizations, users
from marketing_pipelines.domains.leads.condition_compiler import StageCompiler
from marketing_pipelines.domains.leads.score_rules import rules_of
from marketing_pipelines.domains.leads.stages.rules import moves_of
from marketing_pipelines.domains.leads.tables import score_rules
from marketing_pipelines.domains.segments import event_names, segment_graph
from marketing_pipelines.domains.segments.compiler import Frame
from marketing_pipelines.domains.segments.rule_errors import RuleError, similar
from marketing_pipelines.domains.segments.rules import EventCondition
from marketing_pipelines.failures import BadInputError

# Names are the same in every zone and at every instant.
_ZONE, _NOW = ZoneInfo("UTC"), dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def notes_on_score_rules(connection: sa.Connection) -> Iterator[str]:
    """Yields a sentence for each unknown name in the score rules of all organizations."""
    found = connection.execute(
        sa.select(organizations.c.id, organizations.c.external_id)
        .where(
            sa.exists().where(
                score_rules.c.organization_id == organizations.c.id, score_rules.c.enabled
            )
        )
        .order_by(organizations.c.external_id)
    ).all()
    for organization in found:
        try:
            rules = rules_of(connection, organization.id)
        except BadInputError as error:
            yield f"{organization.external_id}: {error}"
            continue
        frame = _frame(connection, organization.id)
        for rule in rules:
            for reason in _unknown(frame, rule.rule):
                yield f"score rule {rule.external_id} of {organization.external_id}: {reason}."


def notes_on_settings(
    connection: sa.Connection, organization_id: int, keys: Collection[str]
) -> Iterator[str]:
    """Yields a sentence for each unknown name in these settings of an organization."""
    settings = settings_of(connection, organization_id)
    if "lifecycle.rules" in keys:
        frame = _frame(connection, organization_id)
        for move in moves_of(settings.lifecycle.rules):
            for reason in _unknown(frame, move.rule):
                yield f"lifecycle.rules, {move.name}: {reason}."
    types = {
        "intent.points": [name for name in settings.intent.points if name not in SIGNAL_POINTS],
        "recycling.signals": [
            name for name in settings.recycling.signals if name not in Recycling().signals
        ],
    }
    known_types = segment_graph.event_fields(connection, organization_id)
    for key, named in types.items():
        if key in keys:
            for name in named:
                for note in event_names.notes(EventCondition(event=name), known_types):
                    yield f"{key}: {note.removeprefix('event: ')}"
    columns: dict[str, tuple[sa.Column[Any], str, list[str | None]]] = {
        "recycling.sequence": (sequences.c.external_id, "sequence", [settings.recycling.sequence]),
        "assignment.users": (users.c.external_id, "user", [*(settings.assignment.users or ())]),
        "deals.stale_after_days": (
            deals.c.stage,
            "deal in the stage",
            [*(stage for stage in settings.deals.days_by_stage if stage != "default")],
        ),
    }
    for key, (column, thing, names) in columns.items():
        if key in keys:
            yield from _missing(connection, organization_id, key, column, thing, names)


def _missing(
    connection: sa.Connection,
    organization_id: int,
    key: str,
    column: sa.Column[Any],
    thing: str,
    names: list[str | None],
) -> Iterator[str]:
    has_case = column.key == "external_id"
    known = set(
        connection.execute(
            sa.select(column)
            .where(column.table.c.organization_id == organization_id, column.is_not(None))
            .distinct()
        ).scalars()
    )
    spelled = known if has_case else {name.lower() for name in known}
    for name in names:
        if name is not None and (name if has_case else name.lower()) not in spelled:
            yield f"{key}: there is no {thing} '{name}'{similar(name, known)}."


def _unknown(frame: Frame, rule: Any) -> Iterator[str]:
    compiler = StageCompiler(frame)
    compiler.since = compiler.contact.c.created_at
    try:
        compiler.condition(rule)
    except RuleError as error:
        yield error.problem
    yield from (note.removesuffix(".") for note in event_names.notes(rule, frame.event_fields))


def _frame(connection: sa.Connection, organization_id: int) -> Frame:
    return segment_graph.frame(
        connection,
        organization_id,
        zone=_ZONE,
        now=_NOW,
        segments=segment_graph.Published(segment_graph.read(connection, organization_id)),
    )
