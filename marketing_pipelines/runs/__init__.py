"""The frame of a run: tick, session, items, retries, tags, timeouts, incidents, missed ticks.

Every job works inside a tick (`tick.py`). The modules here know Dagster's run and one PostgreSQL
connection; they know no business table. Connections and files belong to `stores`, partitions to
`freshness`.
"""
