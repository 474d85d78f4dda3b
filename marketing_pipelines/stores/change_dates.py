"""The instant of changes of statuses and stages whose row names none.

Triggers date them by `crm.instant_of_changes`, which a load or job sets for its transaction.
"""

import datetime as dt

import sqlalchemy as sa

_SET = sa.text("select set_config('crm.instant_of_changes', :at, true)")


def date_changes(connection: sa.Connection, at: dt.datetime) -> None:
    """Dates the changes of the present transaction: without it, they happen now."""
    connection.execute(_SET, {"at": at.isoformat()})
