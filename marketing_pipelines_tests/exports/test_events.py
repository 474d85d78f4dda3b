"""Events: hours of the lake and of PostgreSQL in one file, each event once and in order."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketing_pipelines_tests.exports.exporting import Exporter
from marketing_pipelines_tests.scale import soak_only

EVENTS = """\
event_id,organization_id,contact_id,event_type,occurred_at,event_source,received_at,properties
e3,{o},c1,opened,2026-03-01T11:30:00Z,camp,2026-03-01T11:30:01.5Z,"{{""a"": ""=1+1""}}"
e1,{o},c1,sent,2026-03-01T10:00:00Z,camp,2026-03-01T10:00:00Z,
'=e2,{o},c2,sent,2026-03-01T10:30:00Z,,2026-03-01T10:30:00Z,
e4,{o},c2,purchase,2026-03-01T12:00:00Z,,2026-03-01T12:00:00Z,
"""
SPAN = {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T13:00:00Z"}
HOURS = ("2026-03-01-10:00", "2026-03-01-11:00")


def loaded(exporter: Exporter, tmp_path: Path) -> None:
    """Events of three hours, of which the lake has two."""
    assert exporter.load(tmp_path, "events", EVENTS.format(o=exporter.name)).loaded == 4
    for hour in HOURS:
        exporter.installation.run("analytics/contact_activity", hour)
    assert exporter.rows(
        "select count(*) from analytics.lake_hours where rows > 0 and cast(:own as bigint) > 0"
    ) == [(2,)]


def ids(content: bytes) -> list[str]:
    """The event ids of a csv file."""
    return [row["event_id"] for row in csv.DictReader(io.StringIO(content.decode()))]


def test_events_of_the_lake_and_of_the_table_stand_in_order(
    exporter: Exporter, tmp_path: Path
) -> None:
    loaded(exporter, tmp_path)
    # Without a mark of staleness, so that the events of these hours are in the lake alone.
    exporter.installation.execute(
        "do $$ begin set local session_replication_role = replica;"
        " delete from analytics.contact_activity where occurred_at < '2026-03-01 12:00:00Z';"
        " end $$"
    )
    content = exporter.exported("events", "csv", **SPAN)
    assert ids(content) == ["e1", "'=e2", "e3", "e4"]
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert rows[2]["event_source"] == "camp"
    assert rows[2]["received_at"] == "2026-03-01T11:30:01.5Z"
    assert json.loads(rows[2]["properties"]) == {"a": "=1+1"}
    assert rows[1]["contact_id"] == "c2"


def test_a_file_that_is_not_the_one_of_the_manifest_is_not_read(
    exporter: Exporter, tmp_path: Path
) -> None:
    loaded(exporter, tmp_path)
    lake = Path(exporter.installation.settings.effective_lake_url)
    damaged = next(lake.rglob("hr=10/events.parquet"))
    damaged.write_bytes(b"another state")
    assert ids(exporter.exported("events", "csv", **SPAN)) == ["e1", "'=e2", "e3", "e4"]


@pytest.mark.soak
@soak_only
def test_a_late_event_is_in_the_file_before_its_hour_is_done_again(
    exporter: Exporter, tmp_path: Path
) -> None:
    loaded(exporter, tmp_path)
    late = "event_id,organization_id,contact_id,event_type,occurred_at\n"
    exporter.load(tmp_path, "events", f"{late}e0,{exporter.name},c1,sent,2026-03-01T10:15:00Z\n")
    assert ids(exporter.exported("events", "csv", **SPAN)) == ["e1", "e0", "'=e2", "e3", "e4"]


def test_events_of_one_contact_or_a_part_of_an_hour(exporter: Exporter, tmp_path: Path) -> None:
    loaded(exporter, tmp_path)
    assert ids(exporter.exported("events", "csv", contact="c2", **SPAN)) == ["'=e2", "e4"]
    part = {"from": "2026-03-01T10:00:00.000001Z", "to": "2026-03-01T11:30:00Z"}
    assert ids(exporter.exported("events", "csv", **part)) == ["'=e2"]


def test_events_load_again_unchanged(exporter: Exporter, tmp_path: Path) -> None:
    loaded(exporter, tmp_path)
    for format_ in ("csv", "json"):
        path = tmp_path / f"again.{format_}"
        path.write_bytes(exporter.exported("events", format_, **SPAN))
        result = exporter.load_file("events", path)
        assert (result.loaded, result.changed, result.repeated, result.rejected) == (0, 0, 4, 0)


@pytest.mark.soak
@soak_only
def test_events_in_parquet(exporter: Exporter, tmp_path: Path) -> None:
    loaded(exporter, tmp_path)
    table = pq.read_table(io.BytesIO(exporter.exported("events", "parquet", **SPAN)))
    assert table["event_id"].to_pylist() == ["e1", "=e2", "e3", "e4"]
    assert table.column_names[0] == "event_id"
