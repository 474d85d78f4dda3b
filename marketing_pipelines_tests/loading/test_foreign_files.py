"""Files as other programs write them: read as meant, or refused in one sentence that says why."""

import datetime as dt
import decimal
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading import LoadResult
from marketing_pipelines.loading.remarks import Remark, Tally
from marketing_pipelines_tests.installation import Installation

FOREIGN = Path(__file__).resolve().parents[3] / "shared" / "trials"
EVENT = "event_id,organization_id,contact_id,event_type,occurred_at"
numbers = itertools.count()


class Desk:
    """Loads files into one installation; every test has an organization of its own."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self._folder = folder
        self.organization = f"o-{next(numbers)}"

    def foreign(self, kind: str, name: str, **options: Any) -> LoadResult:
        if not (FOREIGN / name).exists():
            pytest.skip("the folder of foreign files is not here")
        return self._installation.load(
            kind, FOREIGN / name, rejects=self._folder / "rejects.csv", **options
        )

    def text(self, kind: str, name: str, text: str, **options: Any) -> LoadResult:
        path = self._folder / name
        path.write_text(text, newline="")
        return self._installation.load(kind, path, **options)

    def parquet(self, kind: str, columns: dict[str, Any], **options: Any) -> LoadResult:
        path = self._folder / "file.parquet"
        pq.write_table(pa.table(columns), path)
        return self._installation.load(kind, path, **options)

    def contacts(self, columns: str) -> list[tuple[Any, ...]]:
        """Columns of the organization's contacts, by external id."""
        return self._installation.rows(
            f"select external_id, {columns} from crm.contacts where organization_id ="
            " (select id from crm.organizations where external_id = :name) order by 1",
            name=self.organization,
        )

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._installation.rows(statement, **values)


@pytest.fixture
def desk(shared_installation: Installation, tmp_path: Path) -> Desk:
    return Desk(shared_installation, tmp_path)


def rejects_of(result: LoadResult) -> list[str]:
    assert result.rejects is not None
    return result.rejects.read_text().splitlines()[1:]


def test_int96_instants_far_from_today_are_stored_as_written(desk: Desk) -> None:
    result = desk.foreign("contacts", "p6_contacts_int96.parquet", timezone="UTC")
    assert result.rejected == 0
    assert desk.rows(
        "select external_id, created_at::text, attributes ->> 'expires' from crm.contacts"
        " where external_id in ('k1', 'k2') order by 1"
    ) == [
        ("k1", "9999-12-31 03:00:00+00", "9999-12-31 03:00:00"),
        ("k2", "2024-01-01 00:00:00+00", "2400-01-01 00:00:00"),
    ]


def test_an_int96_event_is_stored_or_refused_by_its_own_instant(desk: Desk) -> None:
    result = desk.foreign("events", "p7_events_int96.parquet", timezone="UTC")
    assert desk.rows(
        "select event_id, occurred_at::text from analytics.contact_activity"
        " where event_id in ('z1', 'z2')"
    ) == [("z2", "2600-01-01 00:00:00+00")]
    assert rejects_of(result) == [
        "1,occurred_at,'9999-12-31T03:00:00.000000' is out of range: instants lie between"
        " 0001-01-02T00:00:00Z and 9999-12-31T10:00:00Z"
    ]


def test_numbers_instead_of_instants_are_called_epoch_numbers(desk: Desk) -> None:
    result = desk.foreign("events", "p4_epoch_ms.parquet")
    reason = "'1767225600000' looks like epoch milliseconds: write instants like"
    assert rejects_of(result)[0].startswith(f"1,occurred_at,{reason}")
    result = desk.foreign("events", "f8_sendgrid.jsonl")
    seconds = [line for line in rejects_of(result) if "looks like epoch seconds" in line]
    assert [line.split(",")[0] for line in seconds] == ["1", "2"]
    first = "Refused: occurred_at '1767225600' looks like epoch seconds: write instants like"
    assert any(
        note.startswith(first) and note.endswith("(2 rows, the first is line 1)")
        for note in result.notes
    )


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        ("1767225600", "seconds"),
        ("1767225600.5", "seconds"),
        ("1767225600000", "milliseconds"),
        ("1767225600000000", "microseconds"),
        ("1767225600000000000", "nanoseconds"),
    ],
)
def test_the_unit_of_an_epoch_number_is_named(desk: Desk, number: str, unit: str) -> None:
    result = desk.text("events", "f.csv", f"{EVENT}\ne,o,c,sent,{number}\n")
    assert rejects_of(result)[0].startswith(
        f"2,occurred_at,'{number}' looks like epoch {unit}: write instants like"
    )


def test_columns_separated_by_semicolons_are_read_and_their_values_not_guessed(desk: Desk) -> None:
    result = desk.foreign("contacts", "f2_contacts_semicolon.csv")
    assert rejects_of(result) == [
        "2,intent_score,\"'12,5' has a decimal comma and is not a whole number PostgreSQL can hold;"
        " created_at '12-04-2022 09:30' begins with a day or a month: write it like"
        ' 2024-01-31T13:00:00Z"'
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_header_whose_names_are_all_quoted_is_read(desk: Desk, delimiter: str) -> None:
    rows = ('"organization_id"', '"external_id"', '"first_name"'), (desk.organization, "c1", '"A"')
    text = "\n".join(delimiter.join(cells) for cells in rows)
    assert desk.text("contacts", "quoted.csv", text).loaded == 1
    assert desk.contacts("first_name") == [("c1", "A")]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_separators_are_found_by_the_required_columns(desk: Desk, delimiter: str) -> None:
    lines = (
        ["external_id", "organization_id", "first_name", "note"],
        ["c1", desk.organization, '"a,b"', "x,y"],
        ["c2", desk.organization, f'"a{delimiter}b"', ""],
    )
    text = "\r\n".join(delimiter.join(line) for line in lines)
    assert desk.text("contacts", "f.csv", text).loaded == 2
    assert desk.contacts("first_name, attributes ->> 'note'") == [
        ("c1", "a,b", "x,y"),
        ("c2", f"a{delimiter}b", None),
    ]


def test_lines_that_end_with_carriage_returns_alone_are_lines(desk: Desk) -> None:
    assert desk.foreign("contacts", "f4_contacts_cr.csv").rejected == 0
    assert desk.rows(
        "select external_id, first_name from crm.contacts where external_id in ('c1', 'c2')"
        " and organization_id = (select id from crm.organizations where external_id = 'o1')"
        " order by 1"
    ) == [("c1", "Ann"), ("c2", "Bob")]


def test_a_json_array_is_refused_as_a_whole(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="is a JSON array: write one object a line, as jq"):
        desk.foreign("events", "f7_sendgrid.json")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[{"event_id": 1}]', "is a JSON array"),
        ('[{"event_id": 1},\n {"event_id": 2}]', "is a JSON array"),
        ('{\n "event_id": 1\n}\n', "holds objects that run over several lines"),
    ],
)
def test_json_that_is_not_one_object_a_line_is_refused(
    desk: Desk, text: str, sentence: str
) -> None:
    with pytest.raises(BadInputError, match=sentence):
        desk.text("events", "f.json", text)


def test_a_first_line_that_is_an_array_stops_no_other_line(desk: Desk) -> None:
    row = {"external_id": "c1", "organization_id": desk.organization}
    result = desk.text("contacts", "f.jsonl", f"[1]\n{json.dumps(row)}\n")
    assert (result.loaded, rejects_of(result)) == (1, ["1,,is not a JSON object"])


def test_a_file_with_other_keys_is_told_by_its_keys(desk: Desk) -> None:
    result = desk.foreign("events", "f9_rudder.jsonl")
    assert result.notes == [
        f"{FOREIGN / 'f9_rudder.jsonl'} has no key event_id, organization_id, contact_id,"
        " event_type, occurred_at in any line; its other keys are event, messageId,"
        " originalTimestamp, receivedAt, type, userId."
    ]
    assert rejects_of(result) == ["1,event_id,is missing"]


def test_rounded_and_shared_ids_are_named(desk: Desk) -> None:
    result = desk.foreign("contacts", "f13_mangled.csv")
    assert result.notes == [
        "external_id '4.49654E+07' looks like a number that a spreadsheet or a float rounded: write"
        " ids as text (2 rows, the first is line 2)",
        "external_id '4.49654E+07' stands in an earlier row of this file too, and the last row wins"
        " (line 3)",
    ]


def test_ids_with_blanks_and_stray_quotes_are_named(desk: Desk) -> None:
    result = desk.text(
        "contacts",
        "f.csv",
        "external_id,organization_id,first_name\n"
        f'c1,{desk.organization},5" pipe\n'
        f' c2,{desk.organization}, "Bob"\n'
        f'"c3 ",{desk.organization},x\n'
        f'1.5e+3,{desk.organization},{{"a": "b"}}\n'
        f'c+1,{desk.organization},"x ""y"""\n',
    )
    assert result.notes == [
        "first_name '5\" pipe' has a quote inside that is kept: quote the whole cell and double the"
        " quotes in it (2 rows, the first is line 2)",
        "external_id ' c2' begins or ends with a blank, which is part of the id"
        " (2 rows, the first is line 3)",
    ]
    assert [row[1] for row in desk.contacts("first_name")] == [
        ' "Bob"',
        '{"a": "b"}',
        'x "y"',
        '5" pipe',
        "x",
    ]


def test_rows_that_share_an_id_are_counted_over_the_whole_file(desk: Desk) -> None:
    rows = [f"c{number % 30_000},{desk.organization},n{number}" for number in range(50_001)]
    text = "\n".join(["external_id,organization_id,first_name", *rows])
    result = desk.text("contacts", "f.csv", text)
    assert (result.loaded, result.changed + result.repeated) == (30_000, 20_001)
    assert result.notes == [
        "external_id 'c0' stands in an earlier row of this file too, and the last row wins"
        " (20,001 rows, the first is line 30002)"
    ]


def test_a_file_refused_for_one_reason_says_it_once(desk: Desk) -> None:
    rows = [f"e{number},o,c,sent,2009-01-0{number % 9 + 1}T00:00:00Z" for number in range(45_000)]
    result = desk.text("events", "f.csv", "\n".join([EVENT, *rows]))
    assert (result.rejected, len(rejects_of(result))) == (45_000, 45_000)
    assert result.notes == [
        "All 45,000 rows are refused for one reason; line 2: occurred_at lies before the first day,"
        " 2015-01-01: set MARKETING_FIRST_DAY earlier to keep such events"
    ]


def test_values_with_apostrophes_and_digits_have_one_reason(desk: Desk) -> None:
    values = ["O'Brien", "rock 'n' roll", "James' dog", "at 9", "soon"]
    rows = [f"e{number},o,c,sent,{value}" for number, value in enumerate(values)]
    result = desk.text("events", "f.csv", "\n".join([EVENT, *rows]))
    assert result.notes == [
        "All 5 rows are refused for one reason; line 2: occurred_at 'O'Brien' is not an ISO 8601"
        " instant such as 2024-01-31T13:00:00Z"
    ]


def test_columns_that_differ_by_a_number_are_counted_apart() -> None:
    tally = Tally()
    tally.add(
        [Remark(2, "line1", "'a ' ends with a blank"), Remark(3, "line2", "'b ' ends with a blank")]
    )
    assert tally.remarks() == [
        "line1 'a ' ends with a blank (line 2)",
        "line2 'b ' ends with a blank (line 3)",
    ]


def test_reasons_are_counted_most_frequent_first(desk: Desk) -> None:
    at = "2024-03-01T12:00:00Z"
    rows = ["e1,o,c,sent,soon", f",o,c,sent,{at}", "e3,o,c,sent,late", f"e4,o,c,sent,{at}", "x"]
    result = desk.text("events", "f.csv", "\n".join([EVENT, *rows]))
    assert result.notes == [
        "Refused: occurred_at 'soon' is not an ISO 8601 instant such as 2024-01-31T13:00:00Z"
        " (2 rows, the first is line 2)",
        "Refused: event_id is missing (line 3)",
        "Refused: 1 cells where the header has 5 (line 6)",
    ]


def test_events_of_the_day_after_tomorrow_are_named(desk: Desk) -> None:
    now = dt.datetime.now(dt.UTC)
    soon, later = (now + dt.timedelta(hours=hours) for hours in (23, 25))
    rows = [f"e{at:%H},{desk.organization},c,sent,{at:%Y-%m-%dT%H:%M:%SZ}" for at in (soon, later)]
    result = desk.text("events", "f.csv", "\n".join([EVENT, *rows]))
    assert result.loaded == 2
    assert result.notes == [
        f"occurred_at '{later:%Y-%m-%dT%H:%M:%SZ}' lies more than a day in the future (line 3)"
    ]


def test_the_first_five_ids_without_a_row_are_named(desk: Desk) -> None:
    rows = [f"e{n},{desk.organization},c{n},sent,2024-03-01T12:00:00Z" for n in range(7)]
    result = desk.text("events", "f.csv", "\n".join([EVENT, *rows]))
    assert result.stubs == {"contacts": 7, "organizations": 1}
    assert result.stub_names["organizations"] == [desk.organization]
    assert len({*result.stub_names["contacts"]} & {f"c{n}" for n in range(7)}) == 5
    assert f"organizations 1 ({desk.organization})" in result.summary()
    lines = ["campaign_id,contact_id,organization_id,entered_at"]
    lines += [f"k{n},x,{desk.organization},2024-01-01T00:00:00Z" for n in range(6)]
    result = desk.text("campaign_contacts", "f.csv", "\n".join(lines))
    assert result.summary().endswith("campaigns 6 (k0, k1, k2, k3, k4, …), contacts 1 (x)")


def test_every_number_of_a_parquet_file_keeps_its_digits(desk: Desk) -> None:
    wide = decimal.Decimal("1234567890123456789012345678901234567890.12")
    desk.parquet(
        "contacts",
        {
            "external_id": pa.array([2**64 - 1], pa.uint64()),
            "organization_id": [desk.organization],
            "phone": pa.array([decimal.Decimal("12345678901234567890")], pa.decimal128(20, 0)),
            "large": pa.array([2**63 - 1], pa.int64()),
            "money": pa.array([decimal.Decimal("12345678901234567890.10")], pa.decimal128(38, 2)),
            "wide": pa.array([wide], pa.decimal256(60, 2)),
            "half": pa.array([1.5], pa.float16()),
            "single": pa.array([0.1], pa.float32()),
            "double": [0.1],
            "nan": [math.nan],
            "infinite": [math.inf],
            "nested": pa.array([{"u": 2**64 - 1}], pa.struct([("u", pa.uint64())])),
        },
    )
    ((external_id, phone, text),) = desk.contacts("phone, attributes::text")
    assert (external_id, phone) == (str(2**64 - 1), "12345678901234567890")
    assert json.loads(text, parse_float=str, parse_int=str) == {
        "large": str(2**63 - 1),
        "money": "12345678901234567890.10",
        "wide": str(wide),
        "half": "1.5",
        "single": "0.1",
        "double": "0.1",
        "nested": {"u": str(2**64 - 1)},
    }


def test_instants_of_every_unit_are_exact_or_refused(desk: Desk) -> None:
    nanoseconds = 1_704_067_200_123_456_789
    result = desk.parquet(
        "contacts",
        {
            "external_id": ["c1", "c2", "c3", "c4"],
            "organization_id": [desk.organization] * 4,
            "created_at": pa.array([1_704_067_200] * 4, pa.timestamp("s", "UTC")),
            "ns": pa.array([nanoseconds] * 4, pa.timestamp("ns")),
            "ms": pa.array([2**60, 1, -(2**60), None], pa.timestamp("ms", "UTC")),
            "us": pa.array([0, 2**63 - 1, 0, -62_135_596_800_000_000], pa.timestamp("us")),
            "day": pa.array([0, 0, 2**31 - 1, 10_000_000], pa.date32()),
            "time": pa.array([1_234_567] * 4, pa.time64("ns")),
        },
    )
    assert rejects_of(result) == [
        "1,ms,is out of range",
        "2,us,is out of range",
        "3,day,is out of range",
    ]
    assert desk.contacts("attributes - 'time', attributes ->> 'time', created_at::text") == [
        (
            "c4",
            {
                "ns": "2024-01-01 00:00:00.123456789",
                "us": "0001-01-01 00:00:00",
                "day": "29349-01-26",
            },
            "00:00:00.001234567",
            "2024-01-01 00:00:00+00",
        )
    ]


def test_ids_that_are_floats_are_exact_or_named(desk: Desk) -> None:
    ids = [2.0**53, 123_456.0, 2.0**60]
    result = desk.parquet(
        "contacts", {"external_id": ids, "organization_id": [desk.organization] * 3}
    )
    assert {row[0] for row in desk.contacts("id")} == {
        "9007199254740992",
        "123456",
        "1.152922e+18",
    }
    assert result.notes[0].startswith("external_id '1.152922e+18' looks like a number that a")


def test_an_id_that_is_not_a_number_is_missing(desk: Desk) -> None:
    ids = pa.array([7.0, math.nan, math.inf])
    result = desk.parquet(
        "contacts", {"external_id": ids, "organization_id": [desk.organization] * 3}
    )
    assert rejects_of(result) == ["2,external_id,is missing", "3,external_id,is missing"]


def test_whole_numbers_of_json_keep_their_digits(desk: Desk) -> None:
    digits = "1234567890123456789012345678901234567890"
    desk.text(
        "contacts",
        "f.jsonl",
        f'{{"external_id": {digits}, "organization_id": "{desk.organization}", "n": {digits},'
        f' "list": [{digits}, 9007199254740993]}}',
    )
    ((external_id, text),) = desk.contacts("attributes::text")
    assert external_id == digits
    assert text == f'{{"n": {digits}, "list": [{digits}, 9007199254740993]}}'
