"""Lines: the servers that take messages, whose faults all workers count together.

A line is a row once it had a fault. After some faults in a row its breaker is open: nothing goes
for 5 minutes, then one message tries; after each failed try it is open longer. A server that asks
for fewer messages gets half as many as before for ten minutes.
"""

import datetime as dt
from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.transports.outcomes import LineError
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs import incidents
from marketing_pipelines.settings import get_settings

OPEN_MINUTES = (5, 10, 20, 40, 60)
# A try holds the line for as long as it may take, also if its worker dies.
TRIAL = dt.timedelta(minutes=2)
SLOW_FOR = dt.timedelta(minutes=10)
# A start may be late by this; later ones are taken anew.
MARGIN = dt.timedelta(milliseconds=50)
# A message that cannot start within this is queued again.
MAX_WAIT = dt.timedelta(seconds=1)
PAUSE_AFTER_FAULT = dt.timedelta(seconds=2)
# The first word of the subjects of its incidents.
INCIDENT = "line"


@dataclass(frozen=True)
class LineAdmission:
    """The admission of messages to a line.

    Attributes:
        limit: Most messages to claim; 0: none may go.
        again_at: When to ask again; None: at once.
        has_faults: True if a success ends a row of faults.
        is_trial: True for the single try after the breaker was open.
        has_ceiling: True if the server asked for fewer messages a short time ago.
    """

    limit: int
    again_at: dt.datetime | None = None
    has_faults: bool = False
    is_trial: bool = False
    has_ceiling: bool = False


def _statement(name: str) -> sa.TextClause:
    return sa.text(resources.files(__package__).joinpath("sql", f"{name}.sql").read_text())


_FIND = sa.text("""
    select failures, open_until, opened_at, coalesce(ceiling_until > :now, false) as has_ceiling
    from delivery.lines
    where name = :name
""")
_TRY = sa.text("""
    update delivery.lines set open_until = :trial_ends
    where name = :name and open_until <= :now
    returning name
""")
_RECOVER = sa.text("""
    update delivery.lines as line
    set failures = 0, openings = 0, opened_at = null,
        open_until = case when before.opened_at is null then line.open_until end
    from (select name, opened_at from delivery.lines where name = :name for update) as before
    where line.name = before.name and line.failures > 0
    returning before.opened_at
""")


_BROKEN = sa.text("""
    select last_error, open_until from delivery.lines where name = :name and opened_at is not null
""")
# The starts of messages are so far apart that any second holds no more of them than the limit, each
# of them late by the margin at most. A start beyond the latest is not taken.
_START = """
    with limited as (
        select {key} as key, greatest(next_start_at, :now) as start, {rate} as rate
        from {table}
        where {key} = :{key} and {condition}
        for update
    ),
    taken as (
        update {table} as limited_row
        set next_start_at = limited.start + interval '1 second' * (1 + :margin) / limited.rate
        from limited
        where limited_row.{key} = limited.key and limited.start <= :latest
        returning limited.start
    )
    select (select start from taken) as start from limited
"""
_STARTS = {
    "line": sa.text(
        _START.format(
            table="delivery.lines", key="name", rate="ceiling", condition="ceiling_until > :now"
        )
    ),
    "domain": sa.text(
        _START.format(
            table="delivery.sending_domains",
            key="id",
            rate="per_second",
            condition="per_second > 0",
        )
    ),
}


def admit(
    connection: sa.Connection, name: str | None, limit: int, now: dt.datetime
) -> LineAdmission:
    """Decides how many messages may be claimed for a line now."""
    line = (
        None
        if name is None
        else connection.execute(_FIND, {"name": name, "now": now}).one_or_none()
    )
    if line is None:
        return LineAdmission(limit)
    if line.open_until is not None and line.open_until > now:
        return LineAdmission(0, line.open_until)
    if line.opened_at is None:
        return LineAdmission(limit, has_faults=line.failures > 0, has_ceiling=line.has_ceiling)
    tried = connection.execute(_TRY, {"name": name, "now": now, "trial_ends": now + TRIAL})
    if tried.one_or_none() is None:
        return LineAdmission(0, now + PAUSE_AFTER_FAULT)
    return LineAdmission(1, has_faults=True, is_trial=True)


def note_fault(
    connection: sa.Connection,
    name: str,
    channel: str,
    error: LineError,
    now: dt.datetime,
    *,
    is_trial: bool,
) -> dt.datetime:
    """Counts a fault; the last of `breaker_failures` in a row opens the breaker and alerts once.

    Returns:
        When the line may be tried again.
    """
    values = {
        "name": name,
        "channel": channel,
        "error": redact(str(error)),
        "now": now,
        "limit": get_settings().breaker_failures,
        "minutes": list(OPEN_MINUTES),
        "is_trial": is_trial,
        "is_slow_down": error.is_slow_down,
        "slow_until": now + SLOW_FOR,
        "quiet_until": None if error.quiet_for is None else now + error.quiet_for,
    }
    line = connection.execute(_statement("note_fault"), values).one()
    if line.opened_at is not None:
        incidents.item_failed(
            connection,
            f"{INCIDENT} {name}",
            "",
            f"The breaker is open after {line.failures} faults in a row: {line.last_error}",
            line.failures,
            since=line.opened_at,
            kind="first",
        )
    return max(line.open_until or now, now + PAUSE_AFTER_FAULT)


def note_success(connection: sa.Connection, name: str) -> None:
    """Ends a row of faults, and closes the breaker."""
    recovered = connection.execute(_RECOVER, {"name": name}).one_or_none()
    if recovered is not None and recovered.opened_at is not None:
        incidents.recovered(connection, f"{INCIDENT} {name}")


def next_start(
    connection: sa.Connection, name: str, domain_id: int | None, now: dt.datetime
) -> dt.datetime | None:
    """Takes the next start of a message under the ceiling of its line and the rate of its domain.

    Returns:
        The instant at which to start; None: it is too far away.
    """
    starts = [now]
    values = {"now": now, "latest": now + MAX_WAIT, "margin": MARGIN.total_seconds()}
    for table, key, value in (("line", "name", name), ("domain", "id", domain_id)):
        taken = connection.execute(_STARTS[table], values | {key: value}).one_or_none()
        if taken is not None:
            if taken.start is None:
                return None
            starts.append(taken.start)
    return max(starts)


def broken(connection: sa.Connection, name: str) -> sa.Row[Any] | None:
    """Returns `last_error` and `open_until` of a line whose breaker is open; None: it is closed."""
    return connection.execute(_BROKEN, {"name": name}).one_or_none()
