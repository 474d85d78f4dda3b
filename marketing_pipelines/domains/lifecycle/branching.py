"""Rules of steps, exits and goals: the claimed contacts that satisfy them.

Rules are evaluated as segments evaluate them, over copies of the rows of the claimed contacts: one
statement for all rules of an organization.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import Program, is_due, read_sql
from marketing_pipelines.domains.segments import segment_graph, staging
from marketing_pipelines.domains.segments.compiler import Compiler, Frame
from marketing_pipelines.domains.segments.preview import (
    require_patterns,
    rule_timeout,
    statement_timeout,
)
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.temporary import create_temporary

# Statements of more conditions take longer to plan than to run.
RULES_AT_ONCE = 20
_batch = sa.table(
    "batch",
    sa.column("contact_id", sa.BigInteger),
    sa.column("program_id", sa.BigInteger),
    sa.column("step_id", sa.BigInteger),
)


@dataclass(frozen=True)
class Question:
    """A rule, and the claimed contacts that it is about.

    Attributes:
        id: Its number among the questions of one call.
        among: A condition on rows of the batch.
    """

    id: int
    organization_id: int
    rule: Any
    among: sa.ColumnElement[bool]


def of_step(one: PlannedStep, rule: Any) -> Question:
    """Returns the question about the contacts at a step."""
    return Question(one.id, one.program.organization_id, rule, _batch.c.step_id == one.id)


def of_program(number: int, program: Program, rule: Any) -> Question:
    """Returns the question about the contacts in a program."""
    return Question(number, program.organization_id, rule, _batch.c.program_id == program.id)


def answer(
    connection: sa.Connection,
    questions: Sequence[Question],
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> dict[int, str]:
    """Fills the temporary table `branch_answers` with question and contact of rules that hold.

    Returns:
        Why a rule cannot be evaluated, by question.
    """
    connection.execute(read_sql("create_branch_answers"))
    problems: dict[int, str] = {}
    for organization_id in sorted({one.organization_id for one in questions}):
        own = [one for one in questions if one.organization_id == organization_id]
        problems |= _answer_for(connection, organization_id, own, now, reporting_zone)
    return problems


def _answer_for(
    connection: sa.Connection,
    organization_id: int,
    questions: Sequence[Question],
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> dict[int, str]:
    try:
        patience = rule_timeout(connection, organization_id)
        frame = segment_graph.frame(
            connection,
            organization_id,
            zone=segment_graph.zone_of(connection, organization_id, reporting_zone),
            now=now,
            segments=segment_graph.Published(
                segment_graph.read(connection, organization_id), refuse_unpublished=True
            ),
        )
    except BadInputError as error:
        return {one.id: str(error) for one in questions}
    due = sa.select(_batch.c.contact_id).where(
        sa.or_(*(one.among for one in questions)),
        sa.text(is_due("batch")).bindparams(tick=now),
    )
    create_temporary(connection, "looked_at", due.distinct())
    staging.stage(connection, [one.rule for one in questions], frame)
    problems: dict[int, str] = {}
    for start in range(0, len(questions), RULES_AT_ONCE):
        some = questions[start : start + RULES_AT_ONCE]
        try:
            with connection.begin_nested(), statement_timeout(connection, patience):
                _evaluate(connection, some, frame)
        except (RuleError, sa.exc.DBAPIError) as error:
            _refuse_lost(error)
            # One of them, or all of them take long: each by itself says which.
            for one in some:
                try:
                    with connection.begin_nested(), statement_timeout(connection, patience):
                        _evaluate(connection, [one], frame)
                except (RuleError, sa.exc.DBAPIError) as own:
                    _refuse_lost(own)
                    problems[one.id] = _sentence(own)
    return problems


def _evaluate(connection: sa.Connection, questions: Sequence[Question], frame: Frame) -> None:
    for one in questions:
        require_patterns(connection, one.rule)
    compiled = []
    for one in questions:
        compiler = Compiler(frame, staging.STAGED)
        holds = compiler.condition(one.rule)
        compiled.append(
            sa.select(sa.literal(one.id, sa.BigInteger), compiler.contact.c.id)
            .select_from(compiler.source)
            .where(holds)
        )
    answers = sa.table("branch_answers", sa.column("question_id"), sa.column("contact_id"))
    connection.execute(
        sa.insert(answers).from_select(["question_id", "contact_id"], sa.union_all(*compiled))
    )


def _refuse_lost(error: Exception) -> None:
    """Another transaction in the way, or a lost connection, is no problem of a rule."""
    if isinstance(error, sa.exc.DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or state.startswith(("40", "57P")):
            raise error


def _sentence(error: Exception) -> str:
    text = str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)
    return text.strip().splitlines()[0]
