"""Campaigns whose last contact has finished become completed.

An enrolment locks its campaign while it is written (`lifecycle.join_program`). So the job first
locks a campaign, passing over campaigns that other transactions hold, and then checks the condition
again, when no enrolment can be added any more. Each statement has to see all rows that are
committed by then, so the transaction is one of read committed.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.events import CampaignCompleted
from marketing_pipelines.domains.campaigns.tables import campaigns
from marketing_pipelines.domains.lifecycle.tables import enrolments, triggers
from marketing_pipelines.queueing import bus
from marketing_pipelines.runs.items import Items

JOB = "campaigns/completions"


@dataclass(frozen=True)
class Completion:
    """A campaign that was completed just now."""

    campaign: str
    name: str | None
    completed_at: dt.datetime


def is_due(connection: sa.Connection) -> bool:
    """Returns true if a campaign is over and not yet completed."""
    over = sa.select(campaigns.c.id).where(_is_over())
    return bool(connection.execute(sa.select(sa.exists(over))).scalar_one())


def candidates(connection: sa.Connection) -> Sequence[Any]:
    """Locks the campaigns that are over, except ones that another transaction holds."""
    query = (
        sa.select(campaigns.c.id, campaigns.c.external_id)
        .where(_is_over())
        .order_by(campaigns.c.id)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(query).all()


def complete(connection: sa.Connection, campaign_id: int, tick: dt.datetime) -> Completion | None:
    """Completes a campaign that the transaction holds, and publishes the event.

    Returns:
        The completion; None if a contact was added in between.
    """
    row = connection.execute(
        sa.update(campaigns)
        .where(campaigns.c.id == campaign_id, _is_over())
        .values(status="completed", completed_at=sa.func.coalesce(_latest_finish(), tick))
        .returning(
            campaigns.c.organization_id,
            campaigns.c.external_id,
            campaigns.c.name,
            campaigns.c.completed_at,
        )
    ).one_or_none()
    if row is None:
        return None
    told = CampaignCompleted(
        organization_id=row.organization_id,
        campaign_id=campaign_id,
        campaign=row.external_id,
        completed_at=row.completed_at,
        tick=tick,
    )
    bus.publish(connection, [told])
    return Completion(row.external_id, row.name, row.completed_at)


def complete_all(connection: sa.Connection, tick: dt.datetime, items: Items) -> list[Completion]:
    """Completes campaigns that are over, each in a savepoint of its own.

    Args:
        connection: In a transaction of read committed.
        items: As `Tick.items`.
    """
    done = []
    for item in items(connection, candidates(connection), _name):
        with item as campaign:
            completion = complete(connection, campaign.id, tick)
            if completion is not None:
                done.append(completion)
    return done


def _name(campaign: Any) -> str:
    return f"campaign {campaign.id} ({campaign.external_id})"


def _is_over() -> sa.ColumnElement[bool]:
    """Returns the condition that a campaign is active, had contacts, and can have no more. No
    trigger can enrol contacts, and no enrolment is active."""
    feeds = sa.exists().where(
        triggers.c.program_kind == "campaign",
        triggers.c.program_id == campaigns.c.id,
        triggers.c.enabled,
        sa.or_(triggers.c.type != "segment", triggers.c.segment_id.is_not(None)),
    )
    return sa.and_(
        campaigns.c.status == "active",
        sa.or_(campaigns.c.audience == "closed", ~feeds),
        _first(enrolments.c.contact_id).is_not(None),
        _first(enrolments.c.next_step_at, enrolments.c.status == "active").is_(None),
    )


def _first(order: sa.Column[Any], *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    # In the order of an index, so that each campaign is one look into it, however few there are;
    # for `exists` the planner reads all enrolments.
    return (
        sa.select(enrolments.c.id)
        .where(*_of_campaign(), *where)
        .order_by(order)
        .limit(1)
        .scalar_subquery()
    )


def _latest_finish() -> sa.ScalarSelect[Any]:
    finish = sa.func.greatest(
        enrolments.c.completed_at, enrolments.c.exited_at, enrolments.c.failed_at
    )
    return sa.select(sa.func.max(finish)).where(*_of_campaign()).scalar_subquery()


def _of_campaign() -> tuple[sa.ColumnElement[bool], ...]:
    return (enrolments.c.program_kind == "campaign", enrolments.c.program_id == campaigns.c.id)
