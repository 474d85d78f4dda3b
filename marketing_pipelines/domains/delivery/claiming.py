"""The gate: one statement judges the next messages of a channel and claims those that may go."""

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.delivery import lanes
from marketing_pipelines.domains.delivery.quiet_hours import quiet_zones
from marketing_pipelines.domains.delivery.tables import CHANNELS
from marketing_pipelines.stores import intents
from marketing_pipelines.stores.locks import lock_class


@dataclass(frozen=True)
class Claimed:
    """The judged messages of one claim.

    Attributes:
        messages: Those that may go, in the order of sending, with the columns that sending and
            settling read.
        suppressed: How many ended, each with its reason.
        postponed_by: How many wait for the end of a cap or of quiet hours, by that reason.
    """

    messages: list[sa.Row[Any]] = field(default_factory=list)
    suppressed: int = 0
    postponed_by: Counter[str] = field(default_factory=Counter)

    @property
    def postponed(self) -> int:
        """Number of messages that wait for the end of a cap or of quiet hours."""
        return self.postponed_by.total()

    @property
    def judged(self) -> int:
        """All of them."""
        return len(self.messages) + self.suppressed + self.postponed


def claim(
    connection: sa.Connection,
    channel: str,
    *,
    limit: int,
    lease: dt.timedelta,
    now: dt.datetime,
    zone: ZoneInfo,
    server_id: int | None = None,
) -> Claimed:
    """Judges the next messages of a channel and claims those that may go.

    Claims of a channel run one after the other: each counts what the ones before it claimed. The
    transaction is read committed, so that the statement after the lock sees their commits.

    Its commit does not wait for the disk. A crash of the server that loses it loses no act: a mark
    commits after it, waits, and thereby writes it too; a message without mark is repeatable.

    Args:
        limit: Most messages to judge.
        zone: The reporting zone, for contacts and organizations without one.
        server_id: Only messages of the domain with this mail server; None: those of all domains
            without one.
    """
    lock = sa.func.pg_advisory_xact_lock(lock_class("delivery/claim"), CHANNELS.index(channel))
    connection.execute(sa.select(lock, sa.func.set_config("synchronous_commit", "off", True)))
    due = [
        one
        for one in lanes.streams(connection, channel, now, zone)
        if one.opens_at <= now and one.server_id == server_id
    ]
    if not due:
        return Claimed()
    quiet = [
        {"hours": hours, "zone": name, "until": until.isoformat()}
        for hours in lanes.hours_of(due)
        for name, until in quiet_zones(hours, now).items()
    ]
    result = connection.execute(
        _CLAIM,
        {
            "channel": channel,
            "streams": json.dumps(
                [{"number": number, **stream.as_row()} for number, stream in enumerate(due)]
            ),
            "quiet": json.dumps(quiet),
            "size": limit,
            "now": now,
            "leased_until": now + lease,
            "reporting_zone": zone.key,
        },
    )
    # By position: by its name, a column of a row takes 25 times as long to read.
    state, turn = (list(result.keys()).index(name) for name in ("state", "turn"))
    rows = sorted(result.all(), key=itemgetter(turn))
    return Claimed(
        messages=[row for row in rows if row[state] == intents.CLAIMED],
        suppressed=sum(row[state] == "suppressed" for row in rows),
        postponed_by=Counter(row.reason for row in rows if row[state] == intents.QUEUED),
    )


_CLAIM = sa.text(resources.files(__package__).joinpath("sql", "claim.sql").read_text()).bindparams(
    sa.bindparam("channel", type_=sa.Text),
    sa.bindparam("size", type_=sa.Integer),
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
    sa.bindparam("reporting_zone", type_=sa.Text),
)
