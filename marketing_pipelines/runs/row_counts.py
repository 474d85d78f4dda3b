"""Row counts of assets' tables, cheap enough for a job of every five minutes."""

import sqlalchemy as sa

from marketing_pipelines.freshness.partitions import registered
from marketing_pipelines.stores.tables import finished_partitions

# Counting more rows takes longer than most runs; the server's estimate is off by a few percent.
MAX_COUNTED = 100_000
# A row of a table that the server has not looked at yet, roughly.
BYTES_PER_ROW = 100


def of_table(connection: sa.Connection, job: str, table: str) -> int:
    """Returns the number of rows of the table. For a partitioned asset it sums its partitions. For
    others it counts or, above 100,000, takes the server's estimate, by the table's size if the
    server has none yet."""
    if job in registered():
        rows = sa.func.coalesce(sa.func.sum(finished_partitions.c.rows), 0)
        of_asset = sa.select(rows).where(finished_partitions.c.asset == job)
        return int(connection.execute(of_asset).scalar_one())
    estimate = connection.execute(_ESTIMATE, {"table": table, "bytes": BYTES_PER_ROW}).scalar_one()
    if estimate > MAX_COUNTED:
        return int(estimate)
    schema, _, name = table.rpartition(".")
    counted = sa.select(sa.func.count()).select_from(sa.table(name, schema=schema or None))
    return int(connection.execute(counted).scalar_one())


_ESTIMATE = sa.text("""
    select coalesce(sum(
        case when reltuples < 0 then pg_relation_size(oid) / :bytes else reltuples end), 0)
    from pg_class
    -- Not partitioned tables, whose estimate is the sum of their partitions'.
    where relkind in ('r', 'm')
        and (oid in (select relid from pg_partition_tree(cast(:table as regclass)))
            or oid = cast(:table as regclass))
""")
