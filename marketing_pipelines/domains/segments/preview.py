"""Rules evaluated by hand, now or at another instant; nothing is stored."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.segments import event_names, segment_graph
from marketing_pipelines.domains.segments.compiler import Compiler, patterns
from marketing_pipelines.domains.segments.rule_errors import RuleError
from marketing_pipelines.domains.segments.rules import parse


def members(
    connection: sa.Connection,
    organization_id: int,
    rule: Any,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> Iterator[str]:
    """The external ids of the contacts that satisfy a rule, in order.

    Args:
        rule: Result of `rules.parse`.

    Raises:
        RuleError: the organization lacks a thing that it names, or it takes too long.
    """
    with statement_timeout(connection, rule_timeout(connection, organization_id)):
        compiler, holds = _compiled(connection, organization_id, rule, now, reporting_zone)
        contact = compiler.contact
        found = (
            sa.select(contact.c.external_id)
            .select_from(compiler.source)
            .where(contact.c.organization_id == organization_id, holds)
            .order_by(sa.collate(contact.c.external_id, "C"))
            .execution_options(yield_per=10_000)
        )
        yield from connection.execute(found).scalars()


def count(
    connection: sa.Connection,
    organization_id: int,
    rule: Any,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> int:
    """Counts the contacts for which a rule holds.

    Raises:
        RuleError: as of `members`.
    """
    with statement_timeout(connection, rule_timeout(connection, organization_id)):
        compiler, holds = _compiled(connection, organization_id, rule, now, reporting_zone)
        counted = (
            sa.select(sa.func.count())
            .select_from(compiler.source)
            .where(compiler.contact.c.organization_id == organization_id, holds)
        )
        return int(connection.execute(counted).scalar_one())


def check(
    connection: sa.Connection,
    organization_id: int,
    rule: Any,
    *,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> None:
    """Refuses a rule that the organization could not evaluate.

    Raises:
        RuleError: the organization lacks a thing that it names, or a pattern is read too long.
    """
    with statement_timeout(connection, rule_timeout(connection, organization_id)):
        _compiled(connection, organization_id, rule, now, reporting_zone)


def notes(connection: sa.Connection, organization_id: int, rule: Any) -> list[str]:
    """One sentence for each type of event in a rule that the organization never received."""
    return list(event_names.notes(rule, segment_graph.event_fields(connection, organization_id)))


def notes_on_segments(connection: sa.Connection) -> Iterator[str]:
    """The same of the rules of all segments, each with the segment's name."""
    for row in connection.execute(segment_graph.read_sql("unreceived")):
        with contextlib.suppress(RuleError):
            for note in notes(connection, row.organization_id, parse(row.rule_text)):
                yield f"segment {row.segment} of {row.organization}: {note}"


def require_patterns(connection: sa.Connection, rule: Any) -> None:
    """Refuses regular expressions that PostgreSQL cannot read.

    Raises:
        RuleError: it names the first one.
    """
    for pattern, path in patterns(rule):
        try:
            with connection.begin_nested():
                connection.execute(sa.select(sa.literal("").regexp_match(pattern)))
        except (sa.exc.DataError, sa.exc.InternalError) as error:
            reason = str(error.orig).splitlines()[0].removeprefix("invalid regular expression: ")
            # PostgreSQL does not always report missing memory as such.
            if isinstance(error, sa.exc.InternalError):
                reason = "regular expression is too complex"
            raise RuleError(path, f"is no regular expression ({reason})") from None


def rule_timeout(connection: sa.Connection, organization_id: int) -> dt.timedelta:
    """Returns the time limit of one rule of the organization."""
    limits = settings_of(connection, organization_id).segments
    return dt.timedelta(seconds=limits.timeout_seconds)


@contextlib.contextmanager
def statement_timeout(connection: sa.Connection, patience: dt.timedelta) -> Iterator[None]:
    """Stops statements that take longer; a transaction must be open.

    Raises:
        RuleError: one was stopped.
    """
    limit = f"{patience // dt.timedelta(milliseconds=1)}"
    before = connection.execute(sa.select(sa.func.current_setting("statement_timeout"))).scalar()
    set_limit = sa.func.set_config
    connection.execute(sa.select(set_limit("statement_timeout", limit, True)))
    try:
        yield
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == "57014":
            raise RuleError(
                "", f"took longer than {patience.total_seconds():g} s and was stopped"
            ) from None
        raise
    connection.execute(sa.select(set_limit("statement_timeout", before, True)))


def _compiled(
    connection: sa.Connection,
    organization_id: int,
    rule: Any,
    now: dt.datetime,
    reporting_zone: ZoneInfo,
) -> tuple[Compiler, Any]:
    zone = segment_graph.zone_of(connection, organization_id, reporting_zone)
    catalogue = segment_graph.read(connection, organization_id)
    frame = segment_graph.frame(
        connection,
        organization_id,
        zone=zone,
        now=now,
        segments=segment_graph.Inlined(catalogue),
    )
    compiler = Compiler(frame)
    holds = compiler.condition(rule)
    require_patterns(connection, rule)
    return compiler, holds
