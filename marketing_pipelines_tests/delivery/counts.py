"""Counts of a program's messages by channel and progress."""

from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.tables import messages


@dataclass(frozen=True)
class Audience:
    """The messages of one channel; each is counted once.

    Attributes:
        skipped: Suppressed messages.
        remaining: Messages that have not ended, or whose end is unknown.
    """

    sent: int
    skipped: int
    failed: int
    remaining: int

    @property
    def total(self) -> int:
        """All there are."""
        return self.sent + self.skipped + self.failed + self.remaining


def audience(connection: sa.Connection, program_kind: str, program_id: int) -> dict[str, Audience]:
    """The messages of a program by channel; a channel without any is left out."""

    def in_states(*states: str) -> sa.ColumnElement[int]:
        return sa.func.count().filter(messages.c.state.in_(states))

    rows = connection.execute(
        sa.select(
            messages.c.channel,
            in_states("sent", "delivered", "bounced"),
            in_states("suppressed"),
            in_states("failed"),
            in_states("queued", "claimed", "unknown"),
        )
        .where(messages.c.program_kind == program_kind, messages.c.program_id == program_id)
        .group_by(messages.c.channel)
    )
    return {channel: Audience(*counts) for channel, *counts in rows}
