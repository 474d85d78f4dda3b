"""Ringing for messages, in the transaction that wrote them."""

from collections.abc import Iterable

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.tasks import ring_at


def notify_workers(connection: sa.Connection, channels: Iterable[str]) -> None:
    """Makes workers look at these channels as soon as the transaction is committed.

    A bell that rings already is enough.
    """
    for channel in sorted(set(channels)):
        ring_at(connection, channel, None)
