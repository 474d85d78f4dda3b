"""Lakes of generated events, written without a database, as large as is asked for."""

import datetime as dt
from pathlib import Path

import duckdb

from marketing_pipelines.stores.lake import ROW_GROUP_ROWS, Lake

FIRST_HOUR = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CONTACTS = 5_000_000
# Event `n` of the lake. A tenth is late, a hundredth repeats an id; source and machine_open are
# often null; an organization has a third or a few of the events, the last ones have one each.
EVENTS = f"""
with numbered as (
    select n, hash(n) as h, hash(n, 'contact') as c from range($first, $last) as events(n)
)
select CAST(case
         when n % 100000 = 7 then 1000 + n // 100000
         when h % 3 = 0 then 1
         else 2 + h % 50
       end as bigint) as organization_id,
       'e' || case when h % 100 = 0 then n // 200 else n end as event_id,
       -- A twentieth of the contacts does half of it all.
       CAST(case when c % 2 = 0 then c % {CONTACTS // 20} else c % {CONTACTS} end as bigint)
           as contact_id,
       ['sent', 'sent', 'delivered', 'delivered', 'opened', 'clicked', 'bounced', 'complained',
        'unsubscribed', 'page_view'][CAST(1 + h // 7 % 10 as bigint)] as event_type,
       case h // 11 % 4 when 0 then null when 1 then 'journey' else 'campaign' end as source_type,
       case when h // 11 % 4 > 0 then CAST(h // 13 % 300 as bigint) end as source_id,
       $start + to_microseconds(CAST(h // 17 % 3600000000 as bigint)) as occurred_at,
       $start + to_microseconds(CAST(h // 17 % 3600000000 as bigint))
           + case when h % 10 = 0 then interval 3 hours else interval 2 seconds end as received_at,
       case h // 19 % 5 when 0 then true when 1 then false end as machine_open,
       case when h % 4 = 0 then '{{"url":"/' || h % 1000 || '"}}' end as properties
from numbered
"""


def write_lake(folder: Path, events: int, hours: int) -> list[str]:
    """Writes a lake, evenly over the hours; returns its files as engines take them."""
    lake = Lake(str(folder))
    files = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for number in range(hours):
            hour = FIRST_HOUR + dt.timedelta(hours=number)
            path = Path(lake.path(hour))
            path.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(
                f"copy ({EVENTS}) to '{path}' (format parquet, compression zstd,"
                f" row_group_size {ROW_GROUP_ROWS})",
                {
                    "first": number * events // hours,
                    "last": (number + 1) * events // hours,
                    "start": hour,
                },
            )
            files.append(lake.engine_path(hour))
    return files
