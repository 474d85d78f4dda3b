"""Moving the contacts of an organization to their next stages, as of a tick.

Every stage is looked at once, earlier stages first, so that a contact may make several moves in one
tick. All conditions are computed for the tick: scores come from the events before it, never from
the contact's columns. A rule with scores first finds the contacts for which its other conditions
hold, so that only theirs are computed.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.events import ContactStageChanged
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.leads import intent, lead_scores
from marketing_pipelines.domains.leads.condition_compiler import StageCompiler
from marketing_pipelines.domains.leads.score_rules import rules_of
from marketing_pipelines.domains.leads.stages.compiler import scores_in
from marketing_pipelines.domains.leads.stages.rules import Move, moves_of
from marketing_pipelines.domains.leads.stages.tables import lifecycle_history
from marketing_pipelines.domains.segments import segment_graph
from marketing_pipelines.domains.segments.compiler import Frame
from marketing_pipelines.domains.segments.preview import require_patterns, statement_timeout
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing import bus
from marketing_pipelines.stores.temporary import create_temporary

FIRST_STAGE = "lead"
_moves = sa.table(
    "stage_moves",
    sa.column("contact_id", sa.BigInteger),
    sa.column("place", sa.Integer),
    sa.column("from", sa.Text),
    sa.column("to", sa.Text),
    sa.column("reason", sa.Text),
)
_reached = sa.table(
    "reached_stages", sa.column("contact_id", sa.BigInteger), sa.column("stage", sa.Text)
)
Scorer = Callable[[sa.Connection, int, dt.datetime, ZoneInfo, sa.Select[Any]], sa.Select[Any]]


@dataclass
class StageReport:
    """The moves of a tick.

    Attributes:
        moved: Number of moves by their stages, such as `lead to mql`.
        unnamed: Number of contacts in stages that no rule names, by organization and stage.
        broken: Rules of the last organization that cannot be used, with the reason.
    """

    moved: dict[str, int] = field(default_factory=dict)
    unnamed: list[tuple[str, str, int]] = field(default_factory=list)
    broken: dict[str, BadInputError] = field(default_factory=dict)


def move_contacts(
    connection: sa.Connection,
    organization: Any,
    tick: dt.datetime,
    reporting_zone: ZoneInfo,
    report: StageReport,
) -> int:
    """Moves contacts to their next stages, with history and events.

    A rule that cannot be used moves no contacts; the others do.

    Args:
        connection: In a transaction of read committed.
        organization: A row with `id` and `external_id`.

    Returns:
        Number of moves.

    Raises:
        BadInputError: the settings cannot be used, or none of the rules.
    """
    own_settings = settings_of(connection, organization.id)
    moves = moves_of(own_settings.lifecycle.rules)
    frame = segment_graph.frame(
        connection,
        organization.id,
        zone=segment_graph.zone_of(connection, organization.id, reporting_zone),
        now=tick,
        segments=segment_graph.Published(
            segment_graph.read(connection, organization.id), refuse_unpublished=True
        ),
    )
    patience = dt.timedelta(seconds=own_settings.segments.timeout_seconds)
    connection.execute(_sql("create_stage_moves"))
    report.broken = {}
    for place, move in enumerate(moves):
        try:
            with connection.begin_nested(), statement_timeout(connection, patience):
                number = _find_movers(connection, frame, reporting_zone, move)
        except BadInputError as error:
            report.broken[f"lifecycle.rules, {move.name}"] = error
            continue
        if number:
            noted = {"place": place, "before": move.before, "to": move.to, "reason": move.reason}
            connection.execute(_sql("note_moves"), noted)
    if moves and len(report.broken) == len(moves):
        raise BadInputError(" ".join(f"{rule}: {e}" for rule, e in report.broken.items()))
    _count_unnamed(connection, organization, moves, report)
    return _write(connection, organization.id, tick, report)


def _find_movers(
    connection: sa.Connection, frame: Frame, reporting_zone: ZoneInfo, move: Move
) -> int:
    """Makes the temporary table `stage_movers` of the contacts that a rule moves."""
    require_patterns(connection, move.rule)
    wanted = scores_in(move.rule)
    found = _matching(StageCompiler(frame), move)
    scores: dict[str, sa.FromClause] = {}
    for name in sorted(wanted):
        # Each score is computed for the contacts for which the rule holds with the ones before.
        candidates = sa.table(f"candidates_of_{name}", sa.column("contact_id", sa.BigInteger))
        if not create_temporary(connection, candidates.name, found):
            return 0
        connection.exec_driver_sql(f"analyze {candidates.name}")
        chosen = sa.select(candidates.c.contact_id)
        query = SCORERS[name](connection, frame.organization_id, frame.now, reporting_zone, chosen)
        # A lead score has the time of each of its rules.
        rules = rules_of(connection, frame.organization_id) if name == "lead" else ()
        patience = lead_scores.longest_seconds(connection, frame.organization_id, rules)
        with statement_timeout(connection, patience):
            create_temporary(connection, f"candidate_{name}", query)
        scores[name] = sa.table(
            f"candidate_{name}",
            sa.column("contact_id", sa.BigInteger),
            sa.column("score", sa.Numeric),
        )
        compiler = StageCompiler(frame, scores=dict(scores))
        compiler.source = compiler.source.join(
            candidates, candidates.c.contact_id == compiler.contact.c.id
        )
        found = _matching(compiler, move)
    return create_temporary(connection, "stage_movers", found)


def _matching(compiler: StageCompiler, move: Move) -> sa.Select[Any]:
    """The contacts at the stage of a move for which its rule holds."""
    contact = compiler.contact.c
    was_moved = _reached.c.contact_id.is_not(None)
    compiler.source = compiler.source.outerjoin(_reached, _reached.c.contact_id == contact.id)
    compiler.since = sa.case(
        (was_moved, sa.literal(compiler.frame.now, sa.DateTime(timezone=True))),
        else_=sa.func.coalesce(contact.lifecycle_stage_at, contact.created_at),
    )
    stage = sa.func.lower(
        sa.func.coalesce(_reached.c.stage, contact.lifecycle_stage, FIRST_STAGE), type_=sa.Text
    )
    holds = compiler.condition(move.rule)
    # A contact that was moved after the tick was judged then.
    is_later = sa.func.coalesce(contact.lifecycle_stage_at > compiler.frame.now, sa.false())
    # A file may put a contact back; the same tick does not move it from there once more.
    made = lifecycle_history.c
    was_made = sa.exists().where(
        made.contact_id == contact.id,
        made.tick == compiler.frame.now,
        made["from"] == move.before,
    )
    return (
        sa.select(contact.id.label("contact_id"))
        .select_from(compiler.source)
        .where(
            contact.organization_id == compiler.frame.organization_id,
            stage == move.before,
            contact.manual_override.is_not(sa.true()),
            sa.not_(is_later),
            sa.not_(was_made),
            holds,
        )
    )


def _write(
    connection: sa.Connection, organization_id: int, tick: dt.datetime, report: StageReport
) -> int:
    """Writes the moves into contacts and history, and publishes an event for each."""
    connection.execute(_sql("move_contacts"), {"tick": tick})
    values = {"organization_id": organization_id, "tick": tick}
    number = connection.execute(_sql("write_history"), values).rowcount
    if not number:
        return 0
    payload = sa.func.jsonb_build_object(
        "from", _moves.c["from"], "to", _moves.c.to, "reason", _moves.c.reason,
        "tick", sa.literal(tick.astimezone(dt.UTC).isoformat(), sa.Text), type_=pg.JSONB,
    )  # fmt: skip
    events = sa.select(
        sa.literal(organization_id, sa.BigInteger).label("organization_id"),
        _moves.c.contact_id,
        payload.label("payload"),
        _moves.c.place,
    )
    bus.publish_rows(connection, ContactStageChanged, events)
    counted = sa.select(_moves.c["from"], _moves.c.to, sa.func.count().label("moves"))
    for row in connection.execute(counted.group_by(_moves.c["from"], _moves.c.to)):
        name = f"{row[0]} to {row.to}"
        report.moved[name] = report.moved.get(name, 0) + row.moves
    return number


def _count_unnamed(
    connection: sa.Connection, organization: Any, moves: list[Move], report: StageReport
) -> None:
    named = {FIRST_STAGE} | {stage for move in moves for stage in (move.before, move.to.lower())}
    rows = connection.execute(
        _sql("count_unnamed"), {"organization_id": organization.id, "stages": sorted(named)}
    )
    report.unnamed += [(organization.external_id, row.stage, row.contacts) for row in rows]


def _intent(
    connection: sa.Connection,
    organization_id: int,
    now: dt.datetime,
    _zone: ZoneInfo,
    chosen: sa.Select[Any],
) -> sa.Select[Any]:
    return intent.scores_at(connection, organization_id, now, chosen)


SCORERS: dict[str, Scorer] = {"intent": _intent, "lead": lead_scores.scores_at}


@cache
def _sql(name: str) -> sa.TextClause:
    folder = resources.files(__package__) / "sql"
    return sa.text((folder / f"{name}.sql").read_text(encoding="utf-8"))
