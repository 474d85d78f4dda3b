"""Scheduled campaigns become active at their time.

Each start is one guarded statement: of two passes that look at a campaign at once, the second finds
it started and publishes nothing.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.events import publish_start
from marketing_pipelines.domains.campaigns.tables import campaigns
from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs.items import ItemFailures
from marketing_pipelines.stores.tables import item_failures

ITEM = "start of "


class TooLateError(BadInputError):
    """A campaign whose time has passed by too many hours."""


def start_scheduled(connection: sa.Connection, tick: dt.datetime, failures: ItemFailures) -> int:
    """Starts the scheduled campaigns whose time has come, each in a savepoint of its own.

    A campaign that is too late stays scheduled and is a failed item, until it is started by hand or
    scheduled anew.

    Args:
        connection: In a transaction of read committed.

    Returns:
        Campaigns started.
    """
    started = 0
    due = _due(connection, tick)
    for item in failures.attempts(connection, due, _name):
        with item as campaign:
            _refuse_late(connection, campaign, tick)
            started += _start(connection, campaign, tick)
    known = connection.execute(
        sa.select(item_failures.c.item).where(
            item_failures.c.job == failures.job, item_failures.c.item.startswith(ITEM)
        )
    ).scalars()
    for settled in set(known) - {_name(campaign) for campaign in due}:
        failures.recovered(connection, settled)
    return started


def _due(connection: sa.Connection, tick: dt.datetime) -> Sequence[Any]:
    return connection.execute(
        sa.select(
            campaigns.c.id,
            campaigns.c.organization_id,
            campaigns.c.external_id,
            campaigns.c.started_at,
            organizations.c.external_id.label("organization"),
        )
        .join(organizations, organizations.c.id == campaigns.c.organization_id)
        .where(campaigns.c.status == "scheduled", campaigns.c.started_at <= tick)
        .order_by(campaigns.c.id)
    ).all()


def _refuse_late(connection: sa.Connection, campaign: Any, tick: dt.datetime) -> None:
    hours = settings_of(connection, campaign.organization_id).campaigns.latest_start_hours
    if tick - campaign.started_at > dt.timedelta(hours=hours):
        raise TooLateError(
            f"It was to start at {campaign.started_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC, more "
            f"than {hours} hours ago (campaigns.latest_start_hours): start it with "
            f"`marketing-pipelines program activate campaign {campaign.external_id} "
            f"--organization {campaign.organization}`, or load another started_at."
        )


def _start(connection: sa.Connection, campaign: Any, tick: dt.datetime) -> int:
    started = connection.execute(
        sa.update(campaigns)
        .where(
            campaigns.c.id == campaign.id,
            campaigns.c.status == "scheduled",
            campaigns.c.started_at == campaign.started_at,
        )
        .values(status="active")
    ).rowcount
    if started:
        publish_start(
            connection,
            campaign.organization_id,
            campaign.id,
            campaign.external_id,
            campaign.started_at,
            tick,
        )
    return started


def _name(campaign: Any) -> str:
    return f"{ITEM}campaign {campaign.external_id} of {campaign.organization}"
