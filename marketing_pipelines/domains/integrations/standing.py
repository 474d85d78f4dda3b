"""The standing of connections as people see it: a row for each synchronization or mail server.

Connections that wait for a person come first, then failing ones.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

_STANDING = sa.text("""
    select organization.external_id as organization, connection.provider, connection.external_id,
           condition.state, sync.what,
           coalesce(sync.last_ok_at, connection.last_ok_at) as last_ok_at,
           sync.last_tick, coalesce(sync.next_at, line.open_until) as next_at, sync.backlog,
           sync.overdue_at, coalesce(sync.error, connection.error, line.last_error) as error,
           connection.expires_at, connection.refresh_expires_at,
           connection.settings ->> 'grant' as "grant",
           coalesce(owner.name, connection.settings ->> 'owner') as owner,
           (
               select string_agg(named.external_id, ', ' order by named.external_id)
               from integrations.connections as using_it
               join integrations.connection_names as named on named.id = using_it.id
               where connection.provider = 'oauth'
                   and using_it.organization_id = connection.organization_id
                   and using_it.settings ->> 'grant' = connection.external_id
           ) as used_by
    from integrations.connections as connection
    join crm.organizations as organization on organization.id = connection.organization_id
    left join integrations.syncs as sync on sync.connection_id = connection.id
    left join crm.users as owner
        on owner.organization_id = connection.organization_id
        and owner.external_id = connection.settings ->> 'owner'
    left join integrations.connections as grants
        on grants.organization_id = connection.organization_id and grants.provider = 'oauth'
        and grants.external_id = connection.settings ->> 'grant'
    -- The line of a server with an open breaker, named as delivery names it.
    left join delivery.lines as line
        on connection.provider = 'smtp' and line.opened_at is not null
        and line.name = 'smtp://'
            || regexp_replace(connection.settings ->> 'host', '^(.*:.*)$', '[\\1]') || ':'
            || coalesce(connection.settings ->> 'port', '587')
            || ' for ' || connection.external_id || ' of ' || organization.external_id
    cross join lateral (
        select case
            -- A mailbox or form waits with its grant.
            when grants.state = 'reconnect' then 'reconnect'
            when line.name is null then connection.state
            else 'failing'
        end as state
    ) as condition
    where cast(:ids as bigint[]) is null or connection.id = any(:ids)
    order by array_position(array['reconnect', 'failing', 'ok'], condition.state),
             organization.external_id, connection.provider, connection.external_id, sync.what
""")


def standing_of(connection: sa.Connection, ids: Sequence[int] | None = None) -> Sequence[Any]:
    """Returns a row per connection and synchronization.

    Args:
        ids: Numbers of connections; None: all.
    """
    values = {"ids": None if ids is None else list(ids)}
    return connection.execute(_STANDING, values).all()
