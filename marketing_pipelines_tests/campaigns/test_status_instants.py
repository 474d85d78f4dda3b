"""The instants of a program's status: written by the database unless a file names them."""

import datetime as dt
import importlib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.conftest import databases
from marketing_pipelines_tests.installation import Installation, instant
from marketing_pipelines_tests.programs import TABLES, Programs

HEADER = "external_id,organization_id,status,started_at,paused_at,completed_at,cancelled_at"
INSTANTS = ("started_at", "paused_at", "completed_at", "cancelled_at")
GIVEN = "2026-03-01T10:00:00Z"


class Files:
    """Files of campaigns, loaded one after the other."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.path = folder / "campaigns.csv"

    def load(self, *rows: str, header: str = HEADER) -> int:
        """Loads rows; returns how many changed what was there."""
        self.path.write_text("\n".join([header, *rows]))
        return self.installation.load("campaigns", self.path).changed

    def instants(self, name: str = "spring") -> dict[str, dt.datetime]:
        """The instants that a campaign has."""
        [row] = self.installation.rows(
            f"select {', '.join(INSTANTS)} from campaigns.campaigns where external_id = :name",
            name=name,
        )
        return {key: value for key, value in zip(INSTANTS, row, strict=True) if value is not None}

    def now(self) -> Any:
        """The clock of the database."""
        return self.installation.rows("select now()")[0][0]


@pytest.fixture
def files(programs: Programs, tmp_path: Path) -> Files:
    """Of an installation without campaigns."""
    return Files(programs.installation, tmp_path)


# A status, and the instants that it needs.
NEEDED = [
    ("draft", []),
    ("scheduled", []),
    ("imported", []),
    ("active", ["started_at"]),
    ("paused", ["started_at", "paused_at"]),
    ("completed", ["started_at", "completed_at"]),
    ("cancelled", ["cancelled_at"]),
]


@pytest.mark.parametrize(("status", "needed"), NEEDED)
def test_a_status_brings_the_instants_that_no_file_names(
    files: Files, status: str, needed: list[str]
) -> None:
    before = files.now()
    files.load(f"spring,acme,{status},,,,")
    files.load("autumn,acme,draft,,,,")
    files.load(f"autumn,acme,{status},,,,")
    after = files.now()
    for name in ("spring", "autumn"):
        found = files.instants(name)
        assert list(found) == needed
        assert all(before <= at <= after for at in found.values())


@pytest.mark.parametrize(("status", "needed"), NEEDED)
def test_a_file_loaded_again_changes_no_instant(
    files: Files, status: str, needed: list[str]
) -> None:
    files.load(f"spring,acme,{status},,,,")
    found = files.instants()
    assert files.load(f"spring,acme,{status},,,,") == 0
    assert files.load(f"spring,acme,{status}", header="external_id,organization_id,status") == 0
    assert files.instants() == found


def test_the_instant_of_a_file_wins_also_when_it_comes_later(files: Files) -> None:
    row = f"spring,acme,cancelled,{GIVEN},{GIVEN},{GIVEN},{GIVEN}"
    files.load(row)
    assert files.instants() == dict.fromkeys(INSTANTS, instant(GIVEN))
    files.load("autumn,acme,cancelled,,,,")
    assert files.load(row.replace("spring", "autumn")) == 1
    assert files.instants("autumn") == dict.fromkeys(INSTANTS, instant(GIVEN))


def test_an_empty_cell_clears_an_instant_only_before_the_start(files: Files) -> None:
    files.load(f"spring,acme,scheduled,{GIVEN},,,")
    files.load("spring,acme,scheduled,,,,")
    assert files.instants() == {}
    files.load(f"spring,acme,active,{GIVEN},,,")
    assert files.load("spring,acme,active,,,,") == 0
    assert files.instants() == {"started_at": instant(GIVEN)}


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_status_that_is_set_by_sql_has_its_instant_each_time(
    programs: Programs, kind: str
) -> None:
    installation = programs.installation
    program = programs.program(kind, "spring", "draft", started_at=None)

    def instants() -> tuple[Any, ...]:
        [row] = installation.rows(
            f"select started_at, paused_at, resumed_at, cancelled_at from {TABLES[kind]}"
        )
        return row

    assert instants() == (None,) * 4
    programs.set_status(kind, program, "active")
    started, *_ = instants()
    programs.set_status(kind, program, "paused")
    _, first_pause, *_ = instants()
    programs.set_status(kind, program, "active")
    assert instants()[:2] == (started, first_pause)
    programs.set_status(kind, program, "paused")
    assert instants()[1] > first_pause
    programs.set_status(kind, program, "cancelled")
    cancelled = instants()[3]
    assert cancelled > instants()[1]
    # The instant of the cancellation goes with its status.
    programs.set_status(kind, program, "active")
    started_again = instants()
    assert (started_again[0], started_again[3]) == (started, None)
    assert started_again[2] > cancelled
    installation.execute(f"update {TABLES[kind]} set started_at = null, paused_at = null")
    assert instants()[:2] == (started, None)


def test_a_completed_campaign_that_goes_on_is_no_longer_completed(programs: Programs) -> None:
    campaign = programs.program("campaign", "spring", "completed")
    programs.set_status("campaign", campaign, "active")
    assert programs.installation.rows("select completed_at from campaigns.campaigns") == [(None,)]


def days(installation: Installation) -> list[tuple[str, str]]:
    return installation.rows(
        "select external_id, date::text from analytics.campaign_daily_stats"
        " join analytics.campaigns on id = campaign_id order by 1, 2"
    )


def test_campaign_days_have_zeros_from_the_start_to_the_cancellation(
    installation: Installation, tmp_path: Path
) -> None:
    """Nothing of a campaign that is not started; a day with an event of it has its row."""
    files = Files(installation, tmp_path)
    noon, next_noon = "2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"
    files.load(
        *(f"{status},acme,{status},{noon},,," for status in ("draft", "scheduled", "imported")),
        f"active,acme,active,{next_noon},,,",
        f"paused,acme,paused,{noon},{next_noon},,",
        f"completed,acme,completed,{noon},,{noon},",
        f"cancelled,acme,cancelled,{noon},,,{next_noon}",
        # It has an instant now, which lies after these days.
        "unnamed,acme,active,,,,",
    )
    installation.load_events(
        tmp_path,
        [
            {
                "event_id": "e1",
                "occurred_at": next_noon,
                "event_source": "draft",
            }
        ],
    )
    installation.run("analytics/campaign_daily_stats", "2026-03-01", "2026-03-03")
    expected = [
        ("active", "2026-03-02"),
        ("active", "2026-03-03"),
        ("cancelled", "2026-03-01"),
        ("cancelled", "2026-03-02"),
        *(("completed", f"2026-03-0{day}") for day in (1, 2, 3)),
        ("draft", "2026-03-02"),
        *(("paused", f"2026-03-0{day}") for day in (1, 2, 3)),
    ]
    assert days(installation) == expected
    # Started after all: its days are counted again.
    installation.execute("delete from analytics.stale_partitions")
    installation.execute(
        "update campaigns.campaigns set status = 'active' where name is null"
        " and external_id = 'draft'"
    )
    assert [
        row[0]
        for row in installation.rows(
            "select partition from analytics.stale_partitions"
            " where asset = 'analytics/campaign_daily_stats' order by 1"
        )
    ][:3] == ["2026-03-01", "2026-03-02", "2026-03-03"]


OLD_ROWS = """
insert into crm.organizations (external_id) values ('acme');
insert into crm.contacts (organization_id, external_id) select id, 'c' from crm.organizations;
insert into campaigns.campaigns (organization_id, external_id, status, created_at, started_at)
select organization.id, row.name, row.status, '2026-01-01Z', row.started_at::timestamptz
from crm.organizations as organization
cross join (values ('known', 'cancelled', '2026-01-05Z'), ('bare', 'active', null),
                   ('sent', 'completed', null), ('entered', 'paused', null),
                   ('draft', 'draft', null)) as row (name, status, started_at);
insert into campaigns.sequences (organization_id, external_id, status, created_at)
select id, 'lead', 'cancelled', '2026-01-01Z' from crm.organizations;
insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id, entered_at,
                                  status, completed_at)
select campaign.organization_id, 'campaign', campaign.id, contact.id, '2026-02-01Z', 'completed',
       '2026-02-03Z'
from campaigns.campaigns as campaign cross join crm.contacts as contact
where campaign.external_id in ('entered', 'sent');
insert into analytics.contact_activity (organization_id, event_id, contact_id, event_type,
                                        source_type, source_id, occurred_at, received_at)
select campaign.organization_id, 'e', contact.id, 'sent', 'campaign', campaign.id, '2026-02-05Z',
       '2026-02-05Z'
from campaigns.campaigns as campaign cross join crm.contacts as contact
where campaign.external_id = 'sent';
"""


def test_programs_of_before_get_the_latest_instant_that_is_known_of_them(
    server: EmbeddedPostgres,
) -> None:
    [module] = [
        entry.name.removesuffix(".py")
        for entry in resources.files("marketing_pipelines.migrations.versions").iterdir()
        if entry.name.endswith("_renewed_programs.py")
    ]
    migration = importlib.import_module(f"marketing_pipelines.migrations.versions.{module}")
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("marketing_pipelines.migrations"))
    )
    with databases(server) as make:
        engine = create_engine(database_url(Settings(database_url=make("template1"))))
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, migration.down_revision)
            connection.exec_driver_sql(OLD_ROWS)
            command.upgrade(config, migration.revision)
            rows = connection.exec_driver_sql(
                "select external_id, to_char(started_at, 'MM-DD'), to_char(paused_at, 'MM-DD'),"
                " to_char(completed_at, 'MM-DD'), to_char(cancelled_at, 'MM-DD')"
                " from campaigns.campaigns order by 1"
            ).all()
            assert [tuple(row) for row in rows] == [
                ("bare", "01-01", None, None, None),
                ("draft", None, None, None, None),
                ("entered", "02-03", "02-03", None, None),
                ("known", "01-05", None, None, "01-05"),
                ("sent", "02-05", None, "02-05", None),
            ]
            assert connection.exec_driver_sql(
                "select to_char(cancelled_at, 'MM-DD') from campaigns.sequences"
            ).scalar_one() == ("01-01")
        engine.dispose()
