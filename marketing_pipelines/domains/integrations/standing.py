"""The standing of connections as people see it: a row for each synchronization."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

_STANDING = sa.text("""
    select organization.external_id as organization, connection.provider, connection.external_id,
           connection.state, sync.what,
           coalesce(sync.last_ok_at, connection.last_ok_at) as last_ok_at,
           sync.last_tick, sync.next_at, sync.backlog, sync.overdue_at,
           coalesce(sync.error, connection.error) as error
    from integrations.connections as connection
    join crm.organizations as organization on organization.id = connection.organization_id
    left join integrations.syncs as sync on sync.connection_id = connection.id
    where cast(:ids as bigint[]) is null or connection.id = any(:ids)
    order by organization.external_id, connection.provider, connection.external_id, sync.what
""")


def standing_of(connection: sa.Connection, ids: Sequence[int] | None = None) -> Sequence[Any]:
    """Returns a row per connection and synchronization.

    Args:
        ids: Numbers of connections; None: all.
    """
    values = {"ids": None if ids is None else list(ids)}
    return connection.execute(_STANDING, values).all()
