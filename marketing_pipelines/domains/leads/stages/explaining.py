"""The stage of a contact, and the moves that led to it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.leads.stages.moving import FIRST_STAGE
from marketing_pipelines.domains.leads.stages.tables import lifecycle_history
from marketing_pipelines.domains.segments.explaining import written_instant


@dataclass(frozen=True)
class StageStory:
    """The stage of a contact at an instant.

    Attributes:
        stage: None: the contact has no stage, which counts as `lead`.
        since: When it came to the stage; None: a job or file has written none.
        is_overridden: True if no job may change the stage.
        moves: Rows of the history up to the instant: `at`, `before`, `to`, `reason`; oldest first.
    """

    stage: str | None
    since: dt.datetime | None
    is_overridden: bool
    moves: Sequence[Any]


def tell_stage(
    connection: sa.Connection, contact_id: int, *, at: dt.datetime | None = None
) -> StageStory:
    """The stage of a contact, with the moves that jobs made.

    Args:
        at: The instant; None: now. Before the first move, the stage is the one that it left.
    """
    own = connection.execute(
        sa.select(
            contacts.c.lifecycle_stage, contacts.c.lifecycle_stage_at, contacts.c.manual_override
        ).where(contacts.c.id == contact_id)
    ).one()
    moves: Sequence[Any] = connection.execute(
        sa.select(
            lifecycle_history.c.at,
            lifecycle_history.c["from"].label("before"),
            lifecycle_history.c.to,
            lifecycle_history.c.reason,
        )
        .where(lifecycle_history.c.contact_id == contact_id)
        .order_by(lifecycle_history.c.id)
    ).all()
    stage, since = own.lifecycle_stage, own.lifecycle_stage_at
    before = [move for move in moves if at is None or move.at <= at]
    if len(before) < len(moves):
        stage, since = (before[-1].to, before[-1].at) if before else (moves[0].before, None)
    return StageStory(stage, since, bool(own.manual_override), before)


def sentences_of(contact: str, story: StageStory) -> list[str]:
    """The story in sentences, one a line.

    Args:
        contact: The contact's name.
    """
    stage = story.stage or f"{FIRST_STAGE}, since it has none"
    since = f" since {written_instant(story.since)}" if story.since else ""
    lines = [f"{contact} is at the stage {stage}{since}."]
    if story.is_overridden:
        lines.append("manual_override is set: no job changes its stage.")
    if not story.moves:
        lines.append("No job has moved it.")
    for move in story.moves:
        lines.append(f"  {written_instant(move.at)}  {move.before} → {move.to}  ← {move.reason}")
    return lines
