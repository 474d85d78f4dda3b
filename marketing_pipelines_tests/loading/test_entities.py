"""Loading entities: set, clear, stay; stubs; the last row wins; nothing is rewritten in vain."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading import LoadResult, load_file, loadable
from marketing_pipelines.loading.kinds import KINDS
from marketing_pipelines.settings import get_settings

numbers = itertools.count()


class Loader:
    """Writes rows into a file and loads it."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def csv(self, kind: str, *lines: str, **options: Any) -> LoadResult:
        return self._load(kind, "csv", lines, options)

    def jsonl(self, kind: str, *rows: dict[str, Any], **options: Any) -> LoadResult:
        return self._load(kind, "jsonl", [json.dumps(row) for row in rows], options)

    def _load(self, kind: str, suffix: str, lines: Any, options: dict[str, Any]) -> LoadResult:
        path = self.folder / f"{next(numbers)}.{suffix}"
        path.write_text("\n".join(lines))
        return load_file(self.engine, kind, path, settings=get_settings(), **options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]


@pytest.fixture
def loader(engine: sa.Engine, tmp_path: Path) -> Loader:
    return Loader(engine, tmp_path)


def outcome(result: LoadResult) -> tuple[int, int, int, int]:
    return (result.loaded, result.changed, result.repeated, result.rejected)


FULL = {
    "organizations": ["external_id,name,timezone,settings,plan", 'o,Acme,UTC,"{""a"": 1}",gold'],
    "users": ["external_id,organization_id,email,name,role,team", "u,o,u@x,Uma,admin,north"],
    "companies": ["external_id,organization_id,name,domain,size", "co,o,Co,co.example,12"],
    "contacts": [
        "external_id,organization_id,email,phone,first_name,last_name,company_id,owner_id,"
        "lifecycle_stage,lead_grade,intent_score,timezone,created_at,vip",
        "c,o,c@x,1,Ada,Lovelace,co,u,mql,B,12,Asia/Tokyo,2024-01-01T00:00:00Z,true",
    ],
    "campaigns": [
        "external_id,organization_id,name,status,started_at,goal",
        "k,o,Spring,active,2024-01-01T00:00:00+02:00,mql",
    ],
    "campaign_contacts": [
        "campaign_id,contact_id,organization_id,status,entered_at,completed_at,exited_at",
        "k,c,o,completed,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,",
    ],
    "segments": [
        "external_id,organization_id,name,rule,evaluated,team",
        's,o,Spring,"{""all"": []}",on_use,north',
    ],
    "segment_members": ["segment,contact_id,organization_id,action", "s,c,o,remove"],
}


def test_every_kind_has_a_file_here() -> None:
    assert loadable() == [*FULL, "events"]


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_is_stored_and_a_second_load_touches_no_row(loader: Loader, kind: str) -> None:
    rows = f"select *, xmin::text from {KINDS[kind].table.fullname}"
    assert outcome(loader.csv(kind, *FULL[kind])) == (1, 0, 0, 0)
    before = loader.query(rows)
    assert outcome(loader.csv(kind, *FULL[kind])) == (0, 0, 1, 0)
    assert loader.query(rows) == before
    assert loader.query("select external_id from crm.organizations") == [("o",)]


def test_a_contact_has_its_values_and_its_references(loader: Loader) -> None:
    for kind in FULL:
        loader.csv(kind, *FULL[kind])
    assert loader.query(
        "select c.email, c.phone, c.first_name, c.last_name, co.external_id, u.external_id,"
        " c.lifecycle_stage, c.lead_grade, c.intent_score, c.timezone, c.created_at::text,"
        " c.attributes from crm.contacts c join crm.companies co on co.id = c.company_id"
        " join crm.users u on u.id = c.owner_id"
    ) == [
        (
            *("c@x", "1", "Ada", "Lovelace", "co", "u", "mql", "B", 12, "Asia/Tokyo"),
            *("2024-01-01 00:00:00+00", {"vip": "true"}),
        )
    ]
    assert loader.query("select count(*) from crm.contacts, crm.companies, crm.users") == [(1,)]


def test_a_column_in_the_file_is_set_an_empty_cell_clears_an_absent_column_stays(
    loader: Loader,
) -> None:
    loader.csv(
        "contacts",
        "external_id,organization_id,email,phone,first_name,company_id,owner_id,a,b,c",
        "x,o,x@x,1,Ada,co,u,1,2,3",
    )
    result = loader.csv(
        "contacts", "external_id,organization_id,email,phone,company_id,a,b", "x,o,y@x,,,9,"
    )
    assert outcome(result) == (0, 1, 0, 0)
    assert loader.query(
        "select email, phone, first_name, company_id, owner_id is not null, attributes"
        " from crm.contacts"
    ) == [("y@x", None, "Ada", None, True, {"a": "9", "c": "3"})]


def test_in_json_lines_every_row_says_for_itself_what_it_sets(loader: Loader) -> None:
    key = {"external_id": "x", "organization_id": "o"}
    first = key | {"email": "x@x", "phone": "1", "company_id": "co", "a": {"b": [1]}, "n": 1}
    loader.jsonl("contacts", first, key | {"phone": None}, key | {"n": None, "m": True})
    assert loader.query(
        "select email, phone, company_id is null, attributes from crm.contacts"
    ) == [("x@x", None, False, {"a": {"b": [1]}, "m": True})]


def test_json_in_a_cell_is_kept_and_other_text_stays_text(loader: Loader) -> None:
    loader.csv(
        "companies",
        "external_id,organization_id,list,object,number,flag,broken,nan",
        'x,o,"[1, ""a""]","{""k"": null}",12,true,"{oops","{""a"": NaN}"',
    )
    ((attributes,),) = loader.query("select attributes from crm.companies")
    assert attributes == {
        "list": [1, "a"],
        "object": {"k": None},
        "number": "12",
        "flag": "true",
        "broken": "{oops",
        "nan": '{"a": NaN}',
    }


def test_the_last_row_of_an_entity_wins(loader: Loader) -> None:
    result = loader.csv(
        "companies", "external_id,organization_id,name,x", "a,o,1,1", "b,o,2,", "a,o,3,"
    )
    assert outcome(result) == (2, 0, 1, 0)
    assert loader.query("select external_id, name, attributes from crm.companies order by 1") == [
        ("a", "3", {}),
        ("b", "2", {}),
    ]


def test_what_nobody_knows_becomes_a_stub(loader: Loader) -> None:
    loader.csv(
        "campaign_contacts",
        "campaign_id,contact_id,organization_id,entered_at",
        "k,c,o,2024-01-01T00:00:00Z",
    )
    assert loader.query("select external_id, status, started_at from campaigns.campaigns") == [
        ("k", "imported", None)
    ]
    assert loader.query("select external_id from crm.contacts") == [("c",)]
    assert loader.query("select status from campaigns.campaign_contacts") == [("active",)]


def test_an_imported_campaign_gets_its_real_life_when_it_is_loaded(loader: Loader) -> None:
    entered = "k,c,o,2024-01-01T00:00:00Z"
    loader.csv("campaign_contacts", "campaign_id,contact_id,organization_id,entered_at", entered)
    loader.csv(
        "campaigns",
        "external_id,organization_id,status,started_at",
        "k,o,active,2024-01-01T00:00:00Z",
    )
    assert loader.query("select status, started_at::text from campaigns.campaigns") == [
        ("active", "2024-01-01 00:00:00+00")
    ]


def test_an_empty_status_or_role_is_its_default(loader: Loader) -> None:
    loader.csv("users", "external_id,organization_id,role", "u,o,admin")
    loader.csv("users", "external_id,organization_id,role", "u,o,")
    loader.csv("campaigns", "external_id,organization_id,status", "k,o,")
    assert loader.query("select role from crm.users") == [("rep",)]
    assert loader.query("select status from campaigns.campaigns") == [("draft",)]


BAD = [
    ("users", "u,o,boss", "role,\"'boss' is not one of admin"),
    ("campaigns", "k,o,on,", "status,\"'on' is not one of draft"),
    ("campaigns", "k,o,,2024-01-01", "started_at,\"'2024-01-01' has no zone"),
    ("contacts", "c,o,1.5,,", "intent_score,'1.5' is not a whole number"),
    ("contacts", "c,o,99999999999,,", "intent_score,'99999999999' is not a whole"),
    ("contacts", "c,o,,Mars,", "timezone,'Mars' is not an IANA time zone"),
    ("contacts", "c,o,,,a\0b", "email,contains a NUL character"),
    ("contacts", ",o,,,", "external_id,is missing"),
    ("contacts", "c,,,,", "organization_id,is missing"),
    ("organizations", "o,[1]", "settings,is not a JSON object"),
    ("campaign_contacts", "k,c,o,", "entered_at,is missing"),
    ("campaign_contacts", "k,,o,2024-01-01T00:00:00Z", "contact_id,is missing"),
]
HEADERS = {
    "organizations": "external_id,settings",
    "users": "external_id,organization_id,role",
    "contacts": "external_id,organization_id,intent_score,timezone,email",
    "campaigns": "external_id,organization_id,status,started_at",
    "campaign_contacts": "campaign_id,contact_id,organization_id,entered_at",
}


@pytest.mark.parametrize(("kind", "row", "expected"), BAD)
def test_a_bad_value_is_refused_and_leaves_no_trace(
    loader: Loader, kind: str, row: str, expected: str
) -> None:
    result = loader.csv(kind, HEADERS[kind], row)
    assert outcome(result) == (0, 0, 0, 1)
    assert result.rejects is not None
    assert result.rejects.read_text().splitlines()[1].startswith(f"2,{expected}")
    assert loader.query("select * from crm.organizations") == []


def test_naive_instants_are_read_in_the_named_zone(loader: Loader) -> None:
    loader.csv(
        "campaigns",
        "external_id,organization_id,started_at",
        "k,o,2024-07-01T00:00",
        timezone="Europe/Berlin",
    )
    assert loader.query("select started_at::text from campaigns.campaigns") == [
        ("2024-06-30 22:00:00+00",)
    ]


def test_enrolments_have_no_place_for_unknown_columns(loader: Loader) -> None:
    row = {
        "campaign_id": "k",
        "contact_id": "c",
        "organization_id": "o",
        "entered_at": "2024-01-01T00:00:00Z",
    }
    with pytest.raises(BadInputError, match="has the column x, which campaign_contacts have no"):
        loader.csv("campaign_contacts", ",".join([*row, "x"]), "k,c,o,2024-01-01T00:00:00Z,1")
    result = loader.jsonl("campaign_contacts", row, row | {"contact_id": "d", "x": 1})
    assert outcome(result) == (1, 0, 0, 1)
    assert result.rejects is not None
    assert "2,,has unknown columns: x" in result.rejects.read_text()


def test_an_unknown_kind_names_those_that_exist(loader: Loader) -> None:
    with pytest.raises(BadInputError, match="'deals' cannot be loaded: choose one of organiz"):
        loader.csv("deals", "external_id")
