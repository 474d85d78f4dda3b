"""The settings of a PostgreSQL session on which results rest: made after connecting, and verified.

Roles, databases and poolers have settings of their own, and a pooler may drop the options of a
connection's start. So each new connection executes `SET_SETTINGS` once it is there, whatever driver
opened it. Settings whose other values fail aloud (time limits, read-only roles) stay the server's.
"""

from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError

# A peer that is gone without a word is noticed within a minute, on both ends of the connection.
KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
UNACKNOWLEDGED_MS = 60_000
SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "client_encoding": "UTF8",
    "search_path": "public",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
}
# Without them results are the same; over a Unix socket the server ignores some of them.
_OF_THE_LINE = {
    "client_connection_check_interval": "5s",
    "tcp_user_timeout": f"{UNACKNOWLEDGED_MS}",
    **{f"tcp_{name}": f"{seconds}" for name, seconds in KEEPALIVE.items()},
}
_ROWS = ", ".join(f"('{name}', '{value}')" for name, value in (SETTINGS | _OF_THE_LINE).items())
# Stronger kinds of commit than `on` stay: only `off` may lose a commit that was acted upon.
SET_SETTINGS = f"""
    select set_config(name, value, false)
    from (values {_ROWS}, ('synchronous_commit', 'on')) as wanted (name, value)
    where name <> 'synchronous_commit' or current_setting(name) = 'off'
"""


def prepare(driver: Any, _record: Any = None) -> None:
    """Makes the settings on a new psycopg connection; a listener of SQLAlchemy's `connect`."""
    before = driver.autocommit
    driver.autocommit = True
    driver.execute(SET_SETTINGS)
    driver.autocommit = before


async def prepare_async(driver: Any) -> None:
    """Makes the settings on a new asynchronous psycopg connection."""
    before = driver.autocommit
    await driver.set_autocommit(True)
    await driver.execute(SET_SETTINGS)
    await driver.set_autocommit(before)


def require_kept(connection: sa.Connection, setting: str) -> None:
    """Refuses a connection whose settings are not ours, or that loses them between transactions.

    Args:
        setting: The variable that names the server, for the error.

    Raises:
        ConfigurationError: one of them has another value; the text names it.
    """
    connection.rollback()
    wanted = SETTINGS | {"session_replication_role": "origin"}
    found = connection.execute(
        sa.select(*(sa.func.current_setting(name).label(name) for name in wanted))
    ).one()
    encoding = connection.exec_driver_sql("show server_encoding").scalar_one()
    connection.rollback()
    for (name, value), actual in zip(wanted.items(), found, strict=True):
        if actual != value:
            raise ConfigurationError(
                f"The connection that {setting} names has {name} = '{actual}' after "
                f"it was set to '{value}': name the server itself or a pool in session mode, and "
                "a role that does not fix the setting."
            )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The database that {setting} names has the encoding {encoding}: create "
            "it with encoding UTF8."
        )
