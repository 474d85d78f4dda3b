"""New signals of interest: their contacts are scored, and the days that they change are restated.

Contacts of other events that score rules read get their lead scores. A trigger notes each event in
its own transaction (`leads.signal_arrivals`), so none is missed however late it commits; a run
takes what was noted, at most 10,000 rows, of which each organization has an equal part.
"""

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.leads import intent, intent_writing, lead_writing, score_writing
from marketing_pipelines.domains.leads.statements import name_of, read_sql
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import PartitionedAsset, windows_between
from marketing_pipelines.runs.items import Items
from marketing_pipelines.stores.postgres import Begin
from marketing_pipelines.stores.temporary import create_temporary

JOB = "leads/new_signals"
MAX_ARRIVALS = 10_000
# Restated without having been done before: a day that just ended may be counted at this moment.
JUST_ENDED = dt.timedelta(days=1)
_arrived = sa.table(
    "arrived",
    sa.column("id", sa.BigInteger),
    sa.column("contact_id", sa.BigInteger),
    sa.column("is_signal", sa.Boolean),
    sa.column("first_at", sa.DateTime(timezone=True)),
    sa.column("last_at", sa.DateTime(timezone=True)),
)


def is_due(connection: sa.Connection, now: dt.datetime) -> bool:
    """Returns true if signals arrived of an organization that can be scored."""
    values = {"job": JOB, "now": now}
    return bool(connection.execute(read_sql("signals_are_due"), values).scalar_one())


def score_arrived(
    begin: Begin, tick: dt.datetime, items: Items, days: PartitionedAsset, zone: ZoneInfo
) -> int:
    """Scores the contacts of signals that arrived before the tick, each organization by itself.

    Each organization has an equal part of the arrivals that the run takes; those that need less,
    and ones that fail, leave theirs to the next.

    Args:
        begin: A transaction of read committed.
        items: As `Tick.items`.
        days: The partitions of the nightly job.
        zone: The reporting zone.

    Returns:
        Number of changed scores.
    """
    with begin() as connection:
        waiting = connection.execute(
            read_sql("organizations_with_signals"),
            {"job": JOB, "tick": tick, "size": MAX_ARRIVALS},
        ).all()
    left, changed = MAX_ARRIVALS, 0
    for place, organization in enumerate(waiting):
        if left <= 0:
            break
        share = max(1, left // (len(waiting) - place))
        with begin() as connection:
            for item in items(connection, [organization], name_of):
                with item:
                    taken = take(connection, organization.id, tick, days, zone, size=share)
                    changed += _score(connection, organization.id, tick, zone)
                    left -= taken
    return changed


def _score(
    connection: sa.Connection, organization_id: int, tick: dt.datetime, zone: ZoneInfo
) -> int:
    """Scores the contacts of `arrived`; returns the number of changes.

    Broken score rules leave the lead scores to the nightly job, whose item then fails.
    """
    chosen = sa.select(_arrived.c.contact_id).distinct()
    score_writing.lock_contacts(connection, chosen)
    changed = 0
    with contextlib.suppress(BadInputError), connection.begin_nested():
        changed = lead_writing.write_contacts(connection, organization_id, tick, zone, chosen)
    interested = chosen.where(_arrived.c.is_signal)
    return changed + intent_writing.write_contacts(connection, organization_id, tick, interested)


def take(
    connection: sa.Connection,
    organization_id: int,
    tick: dt.datetime,
    days: PartitionedAsset,
    zone: ZoneInfo,
    *,
    size: int | None = None,
) -> int:
    """Moves arrivals before the tick to the temporary table `arrived`; marks the days they change.

    Those of contacts that a later run has scored stay: an older run never overwrites its scores.

    Returns:
        Number of arrivals.
    """
    query = read_sql("arrived_signals").bindparams(
        organization_id=organization_id, tick=tick, size=size
    )
    taken = create_temporary(connection, "arrived", query)
    if taken:
        _mark_days(connection, organization_id, tick, days, zone)
        connection.execute(read_sql("forget_arrived_signals"), {"tick": tick})
        connection.execute(read_sql("wait_for_later_signals"), {"tick": tick})
    return taken


def _mark_days(
    connection: sa.Connection,
    organization_id: int,
    tick: dt.datetime,
    days: PartitionedAsset,
    zone: ZoneInfo,
) -> None:
    """Makes the days stale at whose end a signal that arrived counts."""
    span = intent.longest_span(settings_of(connection, organization_id).intent)
    day = sa.func.date_trunc("day", sa.func.timezone(zone.key, _arrived.c.first_at))
    spans = connection.execute(
        sa.select(sa.func.min(_arrived.c.first_at), sa.func.max(_arrived.c.last_at))
        .where(_arrived.c.is_signal)
        .group_by(day)
    ).all()
    keys = sorted(
        {
            window.key
            for first, last in spans
            for window in windows_between("day", first, min(last + span, tick), zone)
            if window.end <= tick
        }
    )
    done = stale_partitions.finished(connection, days.key, keys)
    just_ended = {w.key for w in windows_between("day", tick - JUST_ENDED, tick, zone)}
    stale = [key for key in keys if key in done or key in just_ended]
    stale_partitions.add(connection, days.key, stale)


def failed_since(connection: sa.Connection, job: str, organization: Any) -> dt.datetime | None:
    """The tick since which the item of an organization has failed in a row; None: it does not."""
    found: dt.datetime | None = connection.execute(
        read_sql("failed_since"), {"job": job, "item": name_of(organization)}
    ).scalar()
    return found


def restate_failed_days(
    connection: sa.Connection,
    days: PartitionedAsset,
    since: dt.datetime,
    tick: dt.datetime,
    zone: ZoneInfo,
    done_now: Sequence[str],
) -> None:
    """Makes the days stale that were done without an organization, which failed then."""
    spanned = windows_between("day", since - JUST_ENDED, tick, zone)
    keys = [window.key for window in spanned if window.key not in done_now]
    stale_partitions.add(
        connection, days.key, sorted(stale_partitions.finished(connection, days.key, keys))
    )
