"""Loading events: every rule of the events file format, and that nothing depends on how it came."""

import datetime as dt
import gzip
import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError, StoreUnavailableError
from marketing_pipelines.loading import LoadResult
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK

HEADER = (
    "event_id,organization_id,contact_id,event_type,event_source,occurred_at,received_at,properties"
)
STORED = """
select organization.external_id as organization, event.event_id, contact.external_id as contact,
       event.event_type, event.source_type, campaign.external_id as campaign,
       event.occurred_at, event.received_at, event.properties
from analytics.contact_activity as event
join crm.organizations as organization on organization.id = event.organization_id
join crm.contacts as contact on contact.id = event.contact_id
left join campaigns.campaigns as campaign on campaign.id = event.source_id
order by 1, 2
"""
numbers = itertools.count()


class Loader:
    """Writes rows into a file and loads it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.engine = installation.engine
        self.folder = folder

    def load(self, name: str, data: bytes | str, **options: Any) -> LoadResult:
        path = self.folder / f"{next(numbers)}-{name}"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return self.load_path(path, **options)

    def load_path(self, path: Path, **options: Any) -> LoadResult:
        return self.installation.load("events", path, **options)

    def csv(self, *rows: str, **options: Any) -> LoadResult:
        return self.load("events.csv", "\n".join([HEADER, *rows]), **options)

    def jsonl(self, *rows: dict[str, Any], **options: Any) -> LoadResult:
        return self.load("events.jsonl", "\n".join(json.dumps(row) for row in rows), **options)

    def query(self, statement: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement)).mappings()]


@pytest.fixture
def loader(emptied: Installation, tmp_path: Path) -> Loader:
    return Loader(emptied, tmp_path)


@pytest.fixture
def command(emptied: Installation, tmp_path: Path) -> Loader:
    """Opens connections for each load and closes them after it, as the command does."""
    assert emptied.loading is not None
    emptied.loading.dispose()
    return Loader(replace(emptied, loading=None), tmp_path)


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def event(number: int | str = 1, **values: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "organization_id": "acme",
        "contact_id": "c1",
        "event_type": "sent",
        "occurred_at": "2024-03-01T12:00:00Z",
        "received_at": "2024-03-01T12:00:05Z",
    } | values


def rejects_of(result: LoadResult) -> list[str]:
    assert result.rejects is not None
    return result.rejects.read_text().splitlines()[1:]


def test_a_row_is_stored_as_it_was_told(loader: Loader) -> None:
    result = loader.csv(
        "e1,acme,c1, opened ,spring,2024-03-01T14:00:00.123456+02:00,2024-03-02T00:00:00Z,"
        '"{""a"": 1}"',
        "e2,acme,c1,sent,,2024-03-01T12:00:00Z,,",
    )
    assert (result.loaded, result.repeated, result.rejected, result.rejects) == (2, 0, 0, None)
    first, second = loader.query(STORED)
    assert first == {
        "organization": "acme",
        "event_id": "e1",
        "contact": "c1",
        "event_type": "opened",
        "source_type": "campaign",
        "campaign": "spring",
        "occurred_at": instant("2024-03-01T12:00:00.123456+00:00"),
        "received_at": instant("2024-03-02T00:00:00+00:00"),
        "properties": {"a": 1},
    }
    assert (second["source_type"], second["campaign"], second["properties"]) == (None, None, None)
    age = dt.datetime.now(dt.UTC) - second["received_at"]
    assert dt.timedelta() < age < dt.timedelta(minutes=2)


def test_unknown_names_become_stubs_and_a_campaign_stub_is_imported(loader: Loader) -> None:
    rows = event(1, event_source="k"), event(2, organization_id="other", event_source="k")
    assert loader.jsonl(*rows).stubs == {"organizations": 2, "campaigns": 2, "contacts": 2}
    assert loader.jsonl(*rows).stubs == {}
    assert (
        loader.query("select status, started_at from campaigns.campaigns")
        == [{"status": "imported", "started_at": None}] * 2
    )
    assert loader.query("select count(*) as n from crm.contacts") == [{"n": 2}]


def test_each_month_gets_its_partition_but_absurd_dates_do_not(loader: Loader) -> None:
    loader.jsonl(
        event(1, occurred_at="2024-03-31T23:59:59.999999Z"),
        event(2, occurred_at="2024-04-01T00:00:00Z"),
        event(3, occurred_at="8888-01-01T00:00:00Z"),
    )
    assert loader.query(
        "select tableoid::regclass::text as leaf from analytics.contact_activity order by event_id"
    ) == [
        {"leaf": "analytics.contact_activity_2024_03"},
        {"leaf": "analytics.contact_activity_2024_04"},
        {"leaf": "analytics.contact_activity_default"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T12:00:00Z",
        "2024-03-01 12:00:00z",
        "2024-03-01T12:00Z",
        "2024-03-01T12:00:00.000000000Z",
        "2024-03-01T13:00:00+01",
        "2024-03-01T17:30:00+0530",
        "2024-03-01T07:00-05:00",
    ],
)
def test_instants_with_a_zone_are_read_exactly(loader: Loader, text: str) -> None:
    loader.jsonl(event(1, occurred_at=text))
    assert loader.query(STORED)[0]["occurred_at"] == instant("2024-03-01T12:00:00+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-07-01T12:00:00", "2024-07-01T10:00:00+00:00"),
        ("2024-01-01 12:00", "2024-01-01T11:00:00+00:00"),
        ("2024-01-01", "2023-12-31T23:00:00+00:00"),
        ("2024-01-01T12:00:00Z", "2024-01-01T12:00:00+00:00"),
    ],
)
def test_instants_without_a_zone_are_read_in_the_named_zone(
    loader: Loader, text: str, expected: str
) -> None:
    loader.jsonl(event(1, occurred_at=text), timezone="Europe/Berlin")
    assert loader.query(STORED)[0]["occurred_at"] == instant(expected)


BAD = [
    ({"event_id": None}, "event_id,is missing"),
    ({"event_id": " \t"}, "event_id,is missing"),
    ({"event_id": "x" * 2001}, "event_id,is longer than 2000 bytes"),
    ({"organization_id": ""}, "organization_id,is missing"),
    ({"contact_id": "a\0b"}, "contact_id,contains a NUL character"),
    ({"event_type": "a\0b"}, "event_type,contains a NUL character"),
    ({"occurred_at": "2024-03-01T12:00:00Z\0"}, "occurred_at,"),
    ({"other": "a\0b"}, "properties,contains a NUL character (\\u0000)"),
    ({"other": float("nan")}, ',"is not valid JSON (NaN, Infinity or a trailing comma)"'),
    ({"event_type": " "}, "event_type,is missing"),
    ({"event_type": " monthly:sent"}, "event_type,must not begin with monthly:"),
    ({"event_source": "x" * 2001}, "event_source,is longer than 2000 bytes"),
    ({"occurred_at": None}, "occurred_at,is missing"),
    ({"occurred_at": "yesterday"}, "occurred_at,'yesterday' is not an ISO 8601 instant"),
    ({"occurred_at": "2024-02-30T00:00:00Z"}, "occurred_at,'2024-02-30T00:00:00Z' is not an ISO"),
    ({"occurred_at": "2024-03-01T12:00:00+99:00"}, "occurred_at,'2024-03-01T12:00:00+99:00' is"),
    ({"occurred_at": "infinity"}, "occurred_at,'infinity' is not an ISO 8601 instant"),
    ({"occurred_at": "9999-12-31T23:59:59-05:00"}, "occurred_at,'9999-12-31T23:59:59-05:00' is"),
    ({"occurred_at": "2014-12-31T23:59:59Z"}, 'occurred_at,"lies before the first day, 2015-01-01'),
    ({"occurred_at": "2024-03-01T12:00:00"}, "occurred_at,\"'2024-03-01T12:00:00' has no zone:"),
    ({"received_at": "2024-03-01"}, "received_at,\"'2024-03-01' has no zone:"),
    ({"received_at": "0001-01-01T00:00:00+05:00"}, "received_at,'0001-01-01T00:00:00+05:00' is"),
    ({"properties": "{"}, "properties,is not valid JSON"),
    ({"properties": "[1]"}, "properties,is not a JSON object"),
    ({"properties": '{"a": NaN}'}, 'properties,"is not valid JSON (NaN,'),
    ({"properties": '{"a": 1,}'}, 'properties,"is not valid JSON (NaN,'),
    ({"properties": '{"a": 1e999999}'}, 'properties,"is not valid JSON (NaN,'),
    ({"properties": '{"a": "\\u0000"}'}, "properties,contains a NUL character (\\u0000)"),
    ({"properties": '{"a": "\\ud800"}'}, "properties,is not valid JSON"),
    ({"contact_id": ["c1"]}, ",a column that is text holds an object or a list"),
]


@pytest.mark.parametrize(("change", "expected"), BAD)
def test_a_bad_row_is_refused_with_its_line_and_the_others_are_stored(
    loader: Loader, change: dict[str, Any], expected: str
) -> None:
    result = loader.jsonl(event(1), event(2) | change, event(3))
    assert (result.loaded, result.rejected) == (2, 1)
    (reject,) = rejects_of(result)
    assert reject.startswith(f"2,{expected}")


def test_rows_that_are_no_json_are_refused(loader: Loader) -> None:
    result = loader.load("events.jsonl", f'{json.dumps(event(1))}\n{{"a"\n[1]\n12\n')
    assert (result.loaded, result.rejected) == (1, 3)
    assert rejects_of(result) == [
        "2,,is not valid JSON",
        "3,,is not a JSON object",
        "4,,is not a JSON object",
    ]


@pytest.mark.parametrize(
    "properties",
    [
        '{"text": "NaN, Infinity,}"}',
        '{"text": "a \\\\u0000 b"}',
        '{"text": "\\ud83d\\ude00 \\"quoted\\" ,]"}',
        '{"number": 1e20, "small": 0.1e-7}',
    ],
)
def test_json_that_only_looks_odd_is_kept(loader: Loader, properties: str) -> None:
    loader.jsonl(event(1, properties=properties))
    assert loader.query(STORED)[0]["properties"] == json.loads(properties)


def test_a_row_that_only_postgresql_refuses_is_found_among_the_others(loader: Loader) -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    result = loader.jsonl(*(event(n) for n in range(50)), event("deep", properties=deep))
    assert (result.loaded, result.rejected) == (50, 1)
    assert rejects_of(result)[0].startswith("51,,PostgreSQL refuses the row: stack depth limit")


def test_unknown_columns_become_properties(loader: Loader) -> None:
    loader.load(
        "events.csv",
        "event_id,organization_id,contact_id,event_type,occurred_at,properties,plan,tags,note\n"
        'e1,acme,c1,sent,2024-03-01T12:00:00Z,"{""plan"": ""own""}",file,"[1, 2]",\n'
        "e2,acme,c1,sent,2024-03-01T12:00:00Z,,12,[broken,\n"
        "e3,acme,c1,sent,2024-03-01T12:00:00Z,,,,\n",
    )
    loader.jsonl(event(4, **{'x/~"y': None, "deep": {"a": None}, "n": 1, "properties": {}}))
    assert [row["properties"] for row in loader.query(STORED)] == [
        {"plan": "own", "tags": [1, 2]},
        {"plan": "12", "tags": "[broken"},
        None,
        {"deep": {"a": None}, "n": 1},
    ]


def test_events_from_the_future_are_kept(loader: Loader) -> None:
    result = loader.jsonl(event(1, occurred_at="2024-03-05T00:00:00Z"))
    assert result.loaded == 1


def test_loading_twice_changes_nothing(loader: Loader) -> None:
    rows = [event(n, event_source="k", properties={"n": n}) for n in range(100)]
    loader.jsonl(*rows)
    before = loader.query("select *, xmin::text from analytics.contact_activity order by event_id")
    marks = loader.query("select * from analytics.stale_partitions")
    again = loader.jsonl(*reversed(rows))
    assert (again.loaded, again.changed, again.repeated, again.rejected) == (0, 0, 100, 0)
    assert before == loader.query(
        "select *, xmin::text from analytics.contact_activity order by event_id"
    )
    assert marks == loader.query("select * from analytics.stale_partitions")


def test_a_repeat_received_earlier_replaces_the_event_and_marks_both_hours(loader: Loader) -> None:
    loader.jsonl(event(1), event(2))
    earlier = event(1, occurred_at="2024-02-01T05:00:00Z", received_at="2024-02-01T06:00:00Z")
    result = loader.jsonl(earlier, event(2), event(3))
    assert (result.loaded, result.changed, result.repeated) == (1, 1, 1)
    stored = {row["event_id"]: row["occurred_at"] for row in loader.query(STORED)}
    assert stored["e1"] == instant("2024-02-01T05:00:00+00:00")
    assert len(stored) == 3
    marked = loader.query("select distinct partition from analytics.stale_partitions order by 1")
    assert [row["partition"] for row in marked] == ["2024-02-01-05:00", "2024-03-01-12:00"]


def test_the_same_id_in_two_organizations_is_two_events(loader: Loader) -> None:
    assert loader.jsonl(event(1), event(1, organization_id="other")).loaded == 2


def _deliveries(seed: int) -> list[dict[str, Any]]:
    """Events delivered up to four times, each delivery received at another moment."""
    chance = random.Random(seed)
    rows = []
    for number in range(60):
        for delivery in range(chance.randint(1, 4)):
            day = chance.randint(1, 28)
            received = f"2024-0{delivery + 1}-{day:02}T00:00:00Z"
            rows.append(
                event(
                    number,
                    received_at=received,
                    occurred_at=f"2023-{chance.randint(1, 12):02}-01T00:00:00Z",
                    contact_id=f"c{chance.randint(1, 5)}",
                    event_source=chance.choice([None, "k1", "k2"]),
                    properties={"received": received},
                )
            )
    return rows


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6 if SOAK else 1))
def test_what_is_stored_does_not_depend_on_order_or_on_how_files_are_cut(
    loader: Loader, seed: int
) -> None:
    rows = _deliveries(seed)
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["received_at"], reverse=True):
        first[row["event_id"]] = row
    chance = random.Random(seed)
    chance.shuffle(rows)
    results = []
    while rows:
        size = chance.randint(1, len(rows))
        results.append(loader.jsonl(*rows[:size]))
        rows = rows[size:]
    stored = {row["event_id"]: row for row in loader.query(STORED)}
    assert {key: row["properties"]["received"] for key, row in stored.items()} == {
        key: row["received_at"] for key, row in first.items()
    }
    assert {key: (row["contact"], row["campaign"]) for key, row in stored.items()} == {
        key: (row["contact_id"], row["event_source"]) for key, row in first.items()
    }
    assert sum(result.loaded for result in results) == 60
    assert loader.query("select count(*) as n from analytics.event_keys") == [{"n": 60}]


@pytest.mark.fault
def test_loaders_of_the_same_events_at_the_same_moment_store_each_once(command: Loader) -> None:
    rows = [event(n, contact_id=f"c{n % 50}", event_source=f"k{n % 5}") for n in range(3000)]
    files = []
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        path = command.folder / f"same-{seed}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        files.append(path)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(command.load_path, files))
    assert sum(result.loaded for result in results) == 3000
    assert sum(result.repeated for result in results) == 9000
    assert command.query("select count(*) as n from analytics.contact_activity") == [{"n": 3000}]
    assert command.query("select count(*) as n from crm.contacts") == [{"n": 50}]


EVENTS_OF_A_LOAD = 300_000 if SOAK else 90_000


@pytest.mark.soak
@pytest.mark.fault
def test_a_load_whose_connection_breaks_says_so_and_is_completed_by_another(
    command: Loader,
) -> None:
    header = HEADER.split(",")
    path = command.folder / "events.csv"
    rows = (event(n) for n in range(EVENTS_OF_A_LOAD))
    lines = (",".join(str(row.get(name, "")) for name in header) for row in rows)
    path.write_text("\n".join([HEADER, *lines]))
    killed = []

    def kill(position: int, size: int, rows: int) -> None:
        if not killed and rows > EVENTS_OF_A_LOAD // 3:
            killed.extend(
                command.query(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid <> pg_backend_pid() and datname = current_database()"
                )
            )

    with pytest.raises(StoreUnavailableError, match="load the file again"):
        command.load_path(path, on_progress=kill)
    assert len(killed) >= 2, "the loader has two connections; autovacuum may have another"
    again = command.load_path(path)
    assert again.loaded + again.repeated == EVENTS_OF_A_LOAD
    assert 0 < again.repeated < EVENTS_OF_A_LOAD
    assert command.query("select count(*) as n from analytics.contact_activity") == [
        {"n": EVENTS_OF_A_LOAD}
    ]


def test_typed_parquet_columns_are_understood(loader: Loader) -> None:
    at = dt.datetime(2024, 3, 1, 12)
    table = pa.table(
        {
            "event_id": pa.array([1, 2], pa.int64()),
            "organization_id": pa.array(["acme", "acme"]).dictionary_encode(),
            "contact_id": pa.array([7.0, None]),
            "event_type": pa.array(["sent", "sent"], pa.large_string()),
            "occurred_at": pa.array([at, at], pa.timestamp("ns", "America/New_York")),
            "properties": [{"a": 1, "b": [True]}, None],
            "score": [1.5, float("nan")],
            "flag": [True, None],
        }
    )
    pq.write_table(table, loader.folder / "f.parquet")
    result = loader.load_path(loader.folder / "f.parquet")
    assert rejects_of(result) == ["2,contact_id,is missing"]
    (row,) = loader.query(STORED)
    assert (row["event_id"], row["contact"]) == ("1", "7")
    assert row["occurred_at"] == at.replace(tzinfo=dt.UTC)
    assert row["properties"] == {"a": 1, "b": [True], "score": 1.5, "flag": True}


@pytest.mark.parametrize("timezone", [None, "Asia/Kolkata"])
def test_naive_parquet_timestamps_are_like_naive_text(loader: Loader, timezone: str | None) -> None:
    naive = event(1, occurred_at=dt.datetime(2024, 3, 1, 12))
    pq.write_table(pa.Table.from_pylist([naive]), loader.folder / "f.parquet")
    result = loader.load_path(loader.folder / "f.parquet", timezone=timezone)
    if timezone is None:
        assert "has no zone" in rejects_of(result)[0]
    else:
        assert loader.query(STORED)[0]["occurred_at"] == instant("2024-03-01T06:30:00+00:00")


def test_a_parquet_column_that_cannot_be_text_is_refused(loader: Loader) -> None:
    pq.write_table(pa.Table.from_pylist([event(1, contact_id=["c1"])]), loader.folder / "f.parquet")
    with pytest.raises(BadInputError, match="contact_id holds list"):
        loader.load_path(loader.folder / "f.parquet")


def test_missing_columns_and_an_unknown_zone_are_refused(loader: Loader) -> None:
    with pytest.raises(BadInputError, match="no column contact_id, event_type, occurred_at: its"):
        loader.load("x.csv", "event_id,organization_id\n")
    with pytest.raises(BadInputError, match="--timezone 'Mars' is not an IANA"):
        loader.csv(timezone="Mars")


def test_the_rejects_file_comes_and_goes_with_the_rejects(loader: Loader) -> None:
    path = loader.folder / "events.csv"
    path.write_text(f"{HEADER}\nbad\n")
    result = loader.load_path(path)
    assert result.rejects == loader.folder / "events.csv.rejects.csv"
    assert rejects_of(result) == ["2,,1 cells where the header has 8"]
    path.write_text(f"{HEADER}\ne1,acme,c1,sent,,2024-03-01T12:00:00Z,,\n")
    assert loader.load_path(path).rejects is None
    assert not (loader.folder / "events.csv.rejects.csv").exists()


def test_another_file_is_never_taken_for_the_rejects_file(loader: Loader) -> None:
    other = loader.folder / "contacts.csv"
    other.write_text("external_id,organization_id\n")
    with pytest.raises(BadInputError, match="exists and is not a rejects file"):
        loader.csv("bad", rejects=other)
    assert other.read_text() == "external_id,organization_id\n"


def test_progress_reaches_the_end_of_the_file(loader: Loader) -> None:
    seen: list[tuple[int, int, int]] = []
    path = loader.folder / "events.csv.gz"
    row = "e1,acme,c1,sent,,2024-03-01T12:00:00Z,,"
    path.write_bytes(gzip.compress(f"{HEADER}\n{row}\nbad\n".encode()))
    loader.load_path(path, on_progress=lambda *values: seen.append(values))
    assert seen == [(path.stat().st_size, path.stat().st_size, 2)]


def test_a_file_without_rows_is_fine(loader: Loader) -> None:
    result = loader.csv()
    assert (result.rows, result.rejects, result.stubs) == (0, None, {})


def test_the_esp_events_load_once(loader: Loader, shared_data: Path) -> None:
    path = shared_data / "events" / "esp_events.csv.gz"
    rejects = loader.folder / "rejects.csv"
    first = loader.load_path(path, rejects=rejects)
    assert (first.loaded, first.repeated, first.rejected) == (747, 0, 0)
    second = loader.load_path(path, rejects=rejects)
    assert (second.loaded, second.changed, second.repeated) == (0, 0, 747)
