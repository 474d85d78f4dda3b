"""Rows and hashes of all tables of a database, for comparing it with its restored copy."""

from collections.abc import Mapping

import sqlalchemy as sa

from marketing_pipelines.stores.backups import TableContent

_TABLES = sa.text("""
    select namespace.nspname as schema, class.relname as name
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relkind = 'r' and class.relpersistence <> 't'
        and namespace.nspname not in ('pg_catalog', 'information_schema')
        and namespace.nspname not like 'pg\\_%'
    order by 1, 2
""")


def fingerprints(connection: sa.Connection) -> dict[str, TableContent]:
    """Returns the rows of each table and the sum of the hashes of their texts.

    The sum does not depend on the order of the rows. A text depends on settings of the session, so
    the connection is one of our own engines.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    found = {}
    for table in connection.execute(_TABLES).all():
        name = f"{quote(table.schema)}.{quote(table.name)}"
        row = connection.exec_driver_sql(
            f"select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {name} t"
        ).one()
        found[f"{table.schema}.{table.name}"] = TableContent(row[0], row[1])
    return found


def differences(
    expected: Mapping[str, TableContent], found: Mapping[str, TableContent]
) -> dict[str, str]:
    """The tables whose content differs, each with a sentence's end that says how."""
    different = {}
    for name in sorted(expected.keys() | found.keys()):
        before, after = expected.get(name), found.get(name)
        if after is None:
            different[name] = "is missing"
        elif before is None:
            different[name] = "is not in the backup"
        elif before.rows != after.rows:
            different[name] = f"has {after.rows:,} rows, not {before.rows:,}"
        elif before != after:
            different[name] = "has other contents in its rows"
    return different
