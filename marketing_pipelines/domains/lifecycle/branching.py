"""Branches: the claimed contacts that satisfy the rules of their steps.

Rules are evaluated as segments evaluate them, over copies of the rows of the claimed contacts: one
statement for all rules of an organization.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import is_due, read_sql
from marketing_pipelines.domains.segments import segment_graph, staging
from marketing_pipelines.domains.segments.compiler import Compiler, Frame
from marketing_pipelines.domains.segments.preview import (
    require_patterns,
    rule_timeout,
    statement_timeout,
)
from marketing_pipelines.domains.segments.rules import RuleError
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.temporary import create_temporary

# Statements of more conditions take longer to plan than to run.
RULES_AT_ONCE = 20
_batch = sa.table(
    "batch",
    sa.column("contact_id", sa.BigInteger),
    sa.column("step_id", sa.BigInteger),
)


def answer(
    connection: sa.Connection,
    branches: Sequence[tuple[PlannedStep, Any]],
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> dict[int, str]:
    """Fills the temporary table `branch_answers` with step and contact of every rule that holds.

    Args:
        branches: The steps at which claimed contacts are due, with their rules.

    Returns:
        Why a step's rule cannot be evaluated, by step.
    """
    connection.execute(read_sql("create_branch_answers"))
    problems: dict[int, str] = {}
    organizations = {one.program.organization_id for one, _ in branches}
    for organization_id in sorted(organizations):
        own = [b for b in branches if b[0].program.organization_id == organization_id]
        problems |= _answer_for(connection, organization_id, own, now, reporting_zone)
    return problems


def _answer_for(
    connection: sa.Connection,
    organization_id: int,
    branches: Sequence[tuple[PlannedStep, Any]],
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
        return {one.id: str(error) for one, _ in branches}
    due = sa.select(_batch.c.contact_id).where(
        _batch.c.step_id.in_([one.id for one, _ in branches]),
        sa.text(is_due("batch")).bindparams(tick=now),
    )
    create_temporary(connection, "looked_at", due.distinct())
    staging.stage(connection, [rule for _, rule in branches], frame)
    problems: dict[int, str] = {}
    for start in range(0, len(branches), RULES_AT_ONCE):
        some = branches[start : start + RULES_AT_ONCE]
        try:
            with connection.begin_nested(), statement_timeout(connection, patience):
                _evaluate(connection, some, frame)
        except (RuleError, sa.exc.DBAPIError) as error:
            _refuse_lost(error)
            # One of them, or all of them take long: each by itself says which.
            for branch in some:
                try:
                    with connection.begin_nested(), statement_timeout(connection, patience):
                        _evaluate(connection, [branch], frame)
                except (RuleError, sa.exc.DBAPIError) as own:
                    _refuse_lost(own)
                    problems[branch[0].id] = _sentence(own)
    return problems


def _evaluate(
    connection: sa.Connection, branches: Sequence[tuple[PlannedStep, Any]], frame: Frame
) -> None:
    for _, rule in branches:
        require_patterns(connection, rule)
    compiled = []
    for one, rule in branches:
        compiler = Compiler(frame, staging.STAGED)
        holds = compiler.condition(rule)
        compiled.append(
            sa.select(sa.literal(one.id, sa.BigInteger), compiler.contact.c.id)
            .select_from(compiler.source)
            .where(holds)
        )
    answers = sa.table("branch_answers", sa.column("step_id"), sa.column("contact_id"))
    connection.execute(
        sa.insert(answers).from_select(["step_id", "contact_id"], sa.union_all(*compiled))
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
