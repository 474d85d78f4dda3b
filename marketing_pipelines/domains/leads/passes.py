"""The work of the jobs of scores on one tick: organization by organization, day by day."""

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.leads import (
    intent_writing,
    lead_scores,
    lead_writing,
    new_signals,
    opportunities,
)
from marketing_pipelines.domains.leads.statements import all_organizations, name_of
from marketing_pipelines.freshness.partitions import PartitionedAsset, Window
from marketing_pipelines.freshness.propagation import partition_of_tick
from marketing_pipelines.runs.tick import Replacement, Tick

MOST_DAYS = 31


def score_intent(tick: Tick) -> None:
    """Stores the scores of the days; with the tick's own day, the contacts' present ones too.

    Contacts come first: a run that is killed between the two is run again for its days, and finds
    the contacts as it left them.
    """
    own = partition_of_tick(tick.partitions, tick.instant, tick.zone)
    if own in tick.windows:
        tick.metadata["changed_contacts"] = _score_contacts(tick)
    _write_days(tick, intent_writing.write_day)


def _score_contacts(tick: Tick) -> int:
    """Stores present scores, each organization as an item apart from that of its days."""
    changed = 0
    with tick.begin() as connection:
        organizations = all_organizations(connection)
    for organization in organizations:
        with tick.begin(isolation="read committed") as connection:
            for item in tick.items(connection, [organization], _contacts_of):
                with item:
                    changed += intent_writing.write_contacts(
                        connection, organization.id, tick.instant
                    )
    return changed


def _contacts_of(organization: Any) -> str:
    """The item of an organization's contacts; its days are another, which may succeed alone."""
    return f"contacts of {name_of(organization)}"


def score_opportunities(tick: Tick) -> None:
    """Writes the ledger of each day as travel dates, stages and settings imply it."""
    _write_days(
        tick,
        lambda connection, organization, day: opportunities.write_day(
            connection, organization, day.date, tick.zone
        ),
    )


def _write_days(tick: Tick, write: Callable[[sa.Connection, int, Window], int]) -> None:
    """Writes the days of the tick, each organization as an item."""
    for first in range(0, len(tick.windows), MOST_DAYS):
        with tick.replacing(tick.windows[first : first + MOST_DAYS]) as replacement:
            connection = replacement.connection
            rows = {window.key: 0 for window in replacement.windows}
            for item in tick.items(connection, all_organizations(connection), name_of):
                with item as organization:
                    counts = [
                        write(connection, organization.id, window) for window in replacement.windows
                    ]
                    _restate_failed(tick, replacement, organization)
                    for window, number in zip(replacement.windows, counts, strict=True):
                        rows[window.key] += number
            replacement.finished(rows)


def _restate_failed(tick: Tick, replacement: Replacement, organization: object) -> None:
    """Days that were done without an organization are done again, now that it can be scored."""
    connection = replacement.connection
    since = new_signals.failed_since(connection, tick.job, organization)
    if since is not None:
        new_signals.restate_failed_days(
            connection,
            tick.partitions,
            since,
            tick.instant,
            tick.zone,
            [window.key for window in replacement.windows],
        )


def score_new_signals(tick: Tick, days: PartitionedAsset) -> None:
    """Scores the contacts of signals that arrived, at most 10,000 rows of arrivals."""
    begin = partial(tick.begin, isolation="read committed")
    tick.rows = new_signals.score_arrived(begin, tick.instant, tick.items, days, tick.zone)


def score_leads(tick: Tick) -> None:
    """Stores lead scores and grades, each organization as an item in a transaction of its own.

    Rules with unknown names, which earn nothing, are failing items too.
    """
    with tick.begin() as connection:
        organizations = all_organizations(connection)
    for organization in organizations:
        with tick.begin(isolation="read committed") as connection:
            for item in tick.items(connection, [organization], name_of):
                with item:
                    values = (connection, organization.id, tick.instant, tick.zone)
                    tick.rows += lead_writing.write_contacts(*values)
                    unknown = lead_scores.unknown_names(*values)
                    tick.failures.parts_failed(
                        connection,
                        name_of(organization),
                        {f"score rule '{name}'": error for name, error in unknown.items()},
                    )
