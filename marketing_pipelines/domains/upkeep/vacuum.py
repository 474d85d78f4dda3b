"""Vacuum of tables that autovacuum left with many dead rows."""

import sqlalchemy as sa

from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.runs.timeouts import limit_server

MIN_DEAD_ROWS = 1_000

_FULL_OF_DEAD_ROWS = sa.text("""
    select schemaname, relname, n_dead_tup
    from pg_stat_user_tables
    where n_dead_tup >= :least and n_dead_tup > 0.2 * (n_live_tup + n_dead_tup)
    order by n_dead_tup desc, schemaname, relname
""")


def vacuum_tables(tick: Tick, least: int = MIN_DEAD_ROWS) -> dict[str, int]:
    """Vacuums and analyzes tables of which more than a fifth is dead rows.

    Outside any transaction, on a connection of its own; a table that is locked is left out.

    Args:
        least: Dead rows of a table that is worth it.

    Returns:
        Dead rows before it, by table.
    """
    done: dict[str, int] = {}
    with tick.connection.engine.connect() as connection:
        limit_server(connection, tick.timeout)
        connection.commit()
        own = connection.execution_options(isolation_level="AUTOCOMMIT")
        quote = own.dialect.identifier_preparer.quote_identifier
        for row in own.execute(_FULL_OF_DEAD_ROWS, {"least": least}).all():
            name = f"{quote(row.schemaname)}.{quote(row.relname)}"
            own.exec_driver_sql(f"vacuum (analyze, skip_locked) {name}")
            done[f"{row.schemaname}.{row.relname}"] = row.n_dead_tup
    return done
