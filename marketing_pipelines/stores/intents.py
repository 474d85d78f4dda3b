"""Intents: an effect on the outside world is a row before it is an act.

The row's unique key makes the effect happen once; a claim says who acts on it now. The claim's
number is a fencing token: a worker that paused past its lease finds the number changed and cannot
settle. If an effect can be neither repeated nor looked up, `begin` stores that it has started. If
its worker dies then, its outcome is unknown, and `give_up` settles it as `unknown` instead of
repeating it. A table of intents declares `columns()` besides its own, and a unique key.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.stores.tables import instant

QUEUED = "queued"
CLAIMED = "claimed"
ACTING = "sending"
UNKNOWN = "unknown"
NOT_ENDED = (QUEUED, CLAIMED, ACTING)
HELD = (CLAIMED, ACTING)


class ClaimLostError(MarketingPipelinesError):
    """The lease ran out and another worker claimed the intent: the act must not be settled."""


def columns(states: str = "queued, claimed or sending") -> list[sa.Column[Any]]:
    """The columns that every table of intents has, besides `id` and its unique key.

    Args:
        states: The states of one that has not ended, for the comment.
    """
    return [
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            server_default=QUEUED,
            comment=f"{states}; then how it ended",
        ),
        sa.Column(
            "claim",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("0"),
            comment="Number of the latest claim; only its holder may settle",
        ),
        sa.Column(
            "attempts", sa.Integer, nullable=False, server_default=sa.text("0"), comment="Claims"
        ),
        instant("due_at", "Not before this", nullable=False, server_default=sa.func.now()),
        instant("leased_until", "When the claim ends by itself"),
        sa.Column("reason", sa.Text, comment="Why it ended as it did"),
    ]


def free_at(table: sa.Table) -> sa.ColumnElement[dt.datetime]:
    """From when on an intent that has not ended is free; an index on it is the order of claims."""
    return sa.func.coalesce(table.c.leased_until, table.c.due_at)


def is_in(table: sa.Table, *states: str) -> sa.ColumnElement[bool]:
    """Returns the condition that an intent is in one of these states. The states are literals, so
    that partial indexes apply."""
    return table.c.state.in_([sa.literal(state, literal_execute=True) for state in states])


def record(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Writes intents; one whose key is there already stays as it is.

    Returns:
        Number of new ones.
    """
    if not rows:
        return 0
    statement = pg.insert(table).on_conflict_do_nothing().returning(table.c.id)
    return len(connection.execute(statement, [dict(row) for row in rows]).all())


def claim(
    connection: sa.Connection,
    table: sa.Table,
    *,
    limit: int,
    lease: dt.timedelta,
    now: dt.datetime,
    where: sa.ColumnElement[bool] | None = None,
) -> list[sa.Row[Any]]:
    """Claims due intents that are free or whose lease ran out, the longest free first. An intent
    that kills every worker falls behind the others with each lease.

    Several workers share a table: rows that another one is claiming are passed over.

    Args:
        where: Further condition on an intent, e.g. that it is its turn.
    """
    chosen = (
        sa.select(table.c.id)
        .where(
            is_in(table, QUEUED, CLAIMED),
            free_at(table) <= now,
            table.c.due_at <= now,
            sa.true() if where is None else where,
        )
        .order_by(free_at(table), table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    claimed = (
        sa.update(table)
        .where(table.c.id == chosen.c.id)
        .values(
            state=CLAIMED,
            claim=table.c.claim + 1,
            attempts=table.c.attempts + 1,
            leased_until=now + lease,
        )
        .returning(*table.columns)
    )
    rows = connection.execute(claimed).all()
    return sorted(rows, key=lambda row: (row.due_at, row.id))


def begin(
    connection: sa.Connection,
    table: sa.Table,
    row: sa.Row[Any],
    *,
    lease: dt.timedelta,
    now: dt.datetime,
) -> None:
    """Notes, before the act, that it begins; from here on the claim never passes to another.

    Raises:
        ClaimLostError: the claim is no longer ours.
    """
    _write(connection, table, row, {"state": ACTING, "leased_until": now + lease})


def give_up(
    connection: sa.Connection,
    table: sa.Table,
    *,
    now: dt.datetime,
    where: sa.ColumnElement[bool] | None = None,
) -> int:
    """Settles as `unknown` the intents begun by a worker whose lease ran out; returns their number.

    Args:
        where: Further condition on an intent.
    """
    return connection.execute(
        sa.update(table)
        .where(
            is_in(table, ACTING),
            free_at(table) <= now,
            sa.true() if where is None else where,
        )
        .values(
            state=UNKNOWN,
            leased_until=None,
            reason="Its worker died while it acted; whether it happened is not known.",
        )
    ).rowcount


def settle(
    connection: sa.Connection,
    table: sa.Table,
    row: sa.Row[Any],
    *,
    state: str,
    reason: str | None = None,
) -> None:
    """Writes how the effect ended.

    Raises:
        ClaimLostError: the claim is no longer ours.
    """
    _write(connection, table, row, {"state": state, "reason": reason})


def settle_all(
    connection: sa.Connection, table: sa.Table, ended: Sequence[Mapping[str, Any]]
) -> set[int]:
    """Writes how a batch of claimed intents ended, in one statement.

    An intent that another worker has claimed since is left unchanged.

    Args:
        ended: Of each intent `id`, `claim` and the columns to write; the same ones of all.

    Returns:
        The ids of the intents that were still claimed.
    """
    if not ended:
        return set()
    arrays = [
        sa.cast([row[name] for row in ended], pg.ARRAY(table.c[name].type)) for name in ended[0]
    ]
    ends = (
        sa.func.unnest(*arrays)
        .table_valued(*(sa.column(name, table.c[name].type) for name in ended[0]), name="ends")
        .render_derived()
    )
    written = {name: ends.c[name] for name in ended[0] if name not in ("id", "claim")}
    statement = (
        sa.update(table)
        .where(
            table.c.id == ends.c.id, table.c.claim == ends.c.claim, is_in(table, CLAIMED, ACTING)
        )
        .values({"leased_until": None} | written)
        .returning(table.c.id)
    )
    return set(connection.execute(statement).scalars())


def retry(
    connection: sa.Connection,
    table: sa.Table,
    row: sa.Row[Any],
    *,
    due_at: dt.datetime,
    reason: str,
) -> None:
    """Returns an intent whose act failed, to be tried again; the attempt counts.

    Raises:
        ClaimLostError: the claim is no longer ours.
    """
    _write(connection, table, row, {"state": QUEUED, "due_at": due_at, "reason": reason})


def release(
    connection: sa.Connection, table: sa.Table, row: sa.Row[Any], *, due_at: dt.datetime
) -> None:
    """Returns an intent unacted; the attempt does not count.

    Raises:
        ClaimLostError: the claim is no longer ours.
    """
    values = {"state": QUEUED, "attempts": table.c.attempts - 1, "due_at": due_at}
    _write(connection, table, row, values)


def _write(
    connection: sa.Connection, table: sa.Table, row: sa.Row[Any], values: Mapping[str, Any]
) -> None:
    written = connection.execute(
        sa.update(table)
        .where(
            table.c.id == row.id,
            table.c.claim == row.claim,
            table.c.state.in_((CLAIMED, ACTING)),
        )
        .values({"leased_until": None} | dict(values))
    )
    if written.rowcount != 1:
        raise ClaimLostError(
            f"Claim {row.claim} of {table.fullname} {row.id} is no longer ours: its lease ran out."
        )
