"""Lead scores: the points of score rules, their sum from 0 to 100, and its grade.

Rules become one statement, by the compiler of segment rules. `scores_at` returns it as a query for
any instant: the job, the consumer of new contacts, lifecycle rules and `why` read the same.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.analytics.tables import contact_activity
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.leads import intent
from marketing_pipelines.domains.leads.condition_compiler import GRADES, StageCompiler, timeline
from marketing_pipelines.domains.leads.conditions import ActivityCondition
from marketing_pipelines.domains.leads.intent import Chosen, numbers_of
from marketing_pipelines.domains.leads.score_rules import (
    ScoreRule,
    broken,
    refuse_own_scores,
    rules_of,
)
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import (
    TABLES,
    Frame,
    Sources,
    is_of_type,
)
from marketing_pipelines.domains.segments.event_names import require_names
from marketing_pipelines.domains.segments.preview import require_patterns
from marketing_pipelines.domains.segments.rule_errors import MissingNameError, RuleError
from marketing_pipelines.domains.segments.rules import EventCondition
from marketing_pipelines.stores.tables import zones

HIGHEST = 100
# Occurrences count for so long where a rule gives no window.
USUAL_WINDOW = "365d"


def scores_at(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    reporting_zone: ZoneInfo,
    contacts: Chosen = None,
) -> sa.Select[Any]:
    """A query for the lead scores of an organization's contacts at an instant.

    Its columns are `contact_id`, `score` (0 to 100) and `grade`; every contact has a row.

    Raises:
        BadInputError: a rule or the zone of the organization cannot be used.
    """
    points = points_at(connection, organization_id, instant, reporting_zone, contacts)
    found = points.subquery("points")
    total = sum(
        (column for name, column in found.c.items() if name != "contact_id"), start=sa.literal(0)
    )
    score = sa.func.greatest(0, sa.func.least(HIGHEST, total), type_=sa.Integer)
    scored = sa.select(found.c.contact_id, score.label("score")).subquery("scored")
    return sa.select(scored.c.contact_id, scored.c.score, grade(scored.c.score).label("grade"))


def points_at(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    reporting_zone: ZoneInfo,
    contacts: Chosen = None,
) -> sa.Select[Any]:
    """A query for the points of each rule: `contact_id`, and `rule_0` and so on in their order.

    Rules with unknown names have no column.

    Raises:
        BadInputError: as of `scores_at`.
    """
    return _compiled(connection, organization_id, instant, reporting_zone, contacts).query


def unknown_names(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    reporting_zone: ZoneInfo,
) -> Mapping[str, MissingNameError]:
    """The rules that earn nothing since they have an unknown name, by external id.

    Raises:
        BadInputError: as of `scores_at`.
    """
    return _compiled(connection, organization_id, instant, reporting_zone, None).unknown


@dataclass(frozen=True)
class _CompiledRules:
    """The query of the rules, and those that it leaves out."""

    query: sa.Select[Any]
    unknown: Mapping[str, MissingNameError]


def _compiled(
    connection: sa.Connection,
    organization_id: int,
    instant: dt.datetime,
    reporting_zone: ZoneInfo,
    contacts: Chosen,
) -> _CompiledRules:
    """Compiles the rules. One with an unknown name never held for a contact: it earns nothing, and
    the others count, if there are any. Another problem stops all, since points would be lost.
    """
    catalogue = segment_graph.read(connection, organization_id)
    frame = segment_graph.frame(
        connection,
        organization_id,
        zone=segment_graph.zone_of(connection, organization_id, reporting_zone),
        now=instant,
        segments=segment_graph.Published(catalogue, refuse_unpublished=True),
    )
    scores = intent.scores_at(connection, organization_id, instant, contacts)
    compiler = compiler_of(frame, _sources(organization_id, contacts), scores)
    columns = []
    problems: dict[str, RuleError] = {}
    unknown: dict[str, MissingNameError] = {}
    for place, rule in enumerate(rules_of(connection, organization_id)):
        try:
            refuse_own_scores(rule, catalogue)
            require_patterns(connection, rule.rule)
            earned = _points(compiler, rule, reporting_zone)
        except MissingNameError as error:
            unknown[rule.external_id] = error
        except RuleError as error:
            problems[rule.external_id] = error
        else:
            columns.append(earned.label(f"rule_{place}"))
    if problems or (unknown and not columns):
        raise broken(problems | unknown)
    contact = compiler.contact.c
    query = (
        sa.select(contact.id.label("contact_id"), *columns)
        .select_from(compiler.source)
        .where(contact.organization_id == organization_id)
    )
    if contacts is not None:
        query = query.where(contact.id == sa.any_(numbers_of(contacts)))
    return _CompiledRules(query, unknown)


def compiler_of(frame: Frame, sources: Sources, intent_scores: sa.Select[Any]) -> StageCompiler:
    """The compiler of score rules, which may ask for the intent score."""
    compiler = StageCompiler(frame, sources, scores={"intent": intent_scores.subquery("intent")})
    stage_at, created_at = compiler.contact.c.lifecycle_stage_at, compiler.contact.c.created_at
    compiler.since = sa.func.coalesce(stage_at, created_at)
    return compiler


def grade(score: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The grade of a score."""
    return sa.case(*((score >= least, name) for name, least in GRADES.items()), else_="F")


def longest_seconds(
    connection: sa.Connection, organization_id: int, rules: Sequence[ScoreRule]
) -> dt.timedelta:
    """The time that the statement of these rules may take: that of each, one after the other."""
    seconds = settings_of(connection, organization_id).segments.timeout_seconds
    return dt.timedelta(seconds=seconds * max(1, len(rules)))


def _sources(organization_id: int, contacts: Chosen) -> Sources:
    """The tables; for chosen contacts, their events alone, which an index finds."""
    if contacts is None:
        return TABLES
    events = sa.select(contact_activity).where(
        contact_activity.c.contact_id == sa.any_(numbers_of(contacts))
    )
    return Sources(TABLES.contacts, events.subquery("chosen_events"))


def _points(
    compiler: StageCompiler, rule: ScoreRule, reporting_zone: ZoneInfo
) -> sa.ColumnElement[int]:
    points = sa.literal(rule.points, sa.Integer)
    earned: sa.ColumnElement[int]
    if rule.counts == "once":
        earned = sa.case((compiler.condition(rule.rule), points), else_=0)
    else:
        earned = points * _occurrences(compiler, rule, reporting_zone)
    if rule.most is None:
        return earned
    return sa.func.greatest(-rule.most, sa.func.least(rule.most, earned), type_=sa.Integer)


def _occurrences(
    compiler: StageCompiler, rule: ScoreRule, reporting_zone: ZoneInfo
) -> sa.ColumnElement[int]:
    """The number of occurrences of a contact, or of days of the reporting zone with one."""
    condition = windowed(rule.rule)
    counted: Any
    if isinstance(condition, ActivityCondition):
        counted, test = timeline, compiler.is_activity(condition)
    else:
        frame: Frame = compiler.frame
        require_names(condition, frame.event_fields, frame.campaigns, "")
        counted = compiler.sources.events.alias()
        test = sa.and_(
            compiler.of_organization(counted),
            is_of_type(condition, counted.c.event_type),
            compiler.matches(condition, counted),
        )
    number: sa.ColumnElement[int] = sa.func.count()
    if rule.counts == "per_day":
        number = sa.func.count(sa.distinct(day_of(counted.c.occurred_at, reporting_zone)))
    grouped = sa.select(counted.c.contact_id, number.label("answer")).where(test)
    found = grouped.group_by(counted.c.contact_id).subquery()
    same = found.c.contact_id == compiler.contact.c.id
    compiler.source = compiler.source.outerjoin(found, same)
    return sa.func.coalesce(found.c.answer, 0, type_=sa.Integer)


def windowed(condition: EventCondition | ActivityCondition) -> EventCondition | ActivityCondition:
    """The condition with the usual window, where it gives none."""
    if condition.within:
        return condition
    if isinstance(condition, EventCondition) and (condition.since or condition.until):
        return condition
    return condition.model_copy(update={"within": USUAL_WINDOW})


def day_of(instant: sa.ColumnElement[Any], zone: ZoneInfo) -> sa.ColumnElement[Any]:
    """The calendar day of an instant in a zone, by the project's own changes of clocks."""
    starts, offsets = (
        sa.select(column).where(zones.c.name == zone.key).scalar_subquery()
        for column in (zones.c.starts_at, zones.c.utc_offsets)
    )
    return sa.cast(sa.func.ops.local_time(instant, starts, offsets), sa.Date)
