"""The bell at which workers look for messages."""

from collections.abc import Sequence

import sqlalchemy as sa


def ring(connection: sa.Connection, channels: Sequence[str]) -> None:
    """Says that messages of these channels wait."""
