"""An erased person is found nowhere, comes in nowhere, and is missing in no count."""

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.upkeep.erasing import erasing
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.ownership import ownership
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.upkeep.people import TABLES, Someone, erika, fill, john

NOW = dt.datetime(2026, 3, 3, 12, tzinfo=dt.UTC)
TICK = dt.datetime(2026, 3, 4, 3, 30, tzinfo=dt.UTC)
# Their texts are the organization's or the installation's own, and name no contact.
OF_NO_PERSON = {
    "actions.routes",
    "inbox.raw_files",
    "analytics.event_aggregates",
    "analytics.finished_partitions",
    "analytics.hourly_events",
    "analytics.lake_hours",
    "analytics.requested_marks",
    "analytics.restatements",
    "analytics.stale_partitions",
    "campaigns.campaigns",
    "campaigns.sequences",
    "crm.companies",
    "crm.deal_stage_history",
    "crm.destinations",
    "crm.organizations",
    "crm.users",
    "delivery.categories",
    "delivery.contents",
    "delivery.sending_domains",
    "delivery.templates",
    "forms.forms",
    "inbox.cursors",
    "journey.journeys",
    "leads.score_rules",
    "lifecycle.awaited_events",
    "lifecycle.steps",
    "lifecycle.triggers",
    "ops.clocks",
    "ops.installation",
    "ops.job_totals",
    "ops.metric_samples",
    "ops.queue_states",
    "ops.retention",
    "ops.schema_files",
    "ops.tokens",
    "ops.zones",
    "sales.stale_deals",
    "segments.contact_fields",
    "segments.event_fields",
    "segments.segments",
}


def events(someone: Someone, prefix: str) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{someone.external_id}/{prefix}/{number}",
            "contact_id": someone.external_id,
            "event_type": kind,
            "event_source": "spring",
            "occurred_at": f"2026-03-01T{9 + number:02}:10:00Z",
            "properties": {"told": someone.sentence, "machine_open": kind == "opened"},
        }
        for number, kind in enumerate(["sent", "delivered", "opened", "clicked"])
    ]


def test_nothing_tells_who_an_erased_person_was(
    emptied: Installation, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    site = emptied
    one, other = erika(), john()
    fill(site, [one, other])
    _write_contents(site, one)
    site.load_events(tmp_path, events(one, "a") + events(other, "b"))
    site.run_marked()
    _write_files(site, one, other)
    counts = site.fingerprints()
    assert stale(site) == []
    others = rows_about(site, other)
    assert found_in(dump(site, server), one) == sorted(one.traces)

    [contact_id] = [one.rows["crm.contacts"]]
    with site.engine.connect() as connection:
        person = persons.identity_of(connection, one.rows["crm.organizations"], [contact_id])
    erasure_id = erasing.begin(site.engine, site.settings, person, now=NOW)
    assert erasing.work(site.engine, site.settings, erasure_id, now=NOW) == []
    # The contact left a campaign, which counts on its day and in no other table.
    marks = stale(site)
    assert {asset for asset, _ in marks} == {"analytics/campaign_daily_stats"}
    [outcome] = site.run("upkeep/erasures", at=TICK)
    assert outcome.status == "COMPLETED", outcome.error

    assert found_in(dump(site, server), one) == []
    assert found_in(lake_text(site), one) == []
    assert found_in(files_text(site), one) == []
    assert found_in(dagster_text(site), one) == []
    assert found_in(files_text(site), other) == sorted(other.traces)
    assert site.fingerprints() == counts
    assert stale(site) == marks
    assert site.rows(
        "select count(*) from analytics.stale_partitions where asset = :asset",
        asset="analytics/contact_activity",
    ) == [(0,)]
    assert rows_about(site, other) == others


@pytest.mark.soak
@soak_only
def test_an_hour_whose_file_is_not_that_of_the_manifest_is_exported_anew(
    emptied: Installation, tmp_path: Path
) -> None:
    site, one = emptied, erika()
    fill(site, [one])
    site.load_events(tmp_path, events(one, "a"))
    site.run_marked()
    site.execute("update analytics.lake_hours set rows = 7 where hour = '2026-03-01 09:00+00'")
    with site.engine.connect() as connection:
        person = persons.identity_of(
            connection, one.rows["crm.organizations"], [one.rows["crm.contacts"]]
        )
    erasing.begin(site.engine, site.settings, person, now=NOW)
    [outcome] = site.run("upkeep/erasures", at=TICK)
    assert outcome.status == "COMPLETED", outcome.error
    assert [key for asset, key in stale(site) if asset == "analytics/contact_activity"] == [
        "2026-03-01-09:00"
    ]


def rows_about(site: Installation, someone: Someone) -> dict[str, list[str]]:
    """The rows that are about somebody, as texts, by table."""
    with site.engine.connect() as connection:
        person = persons.identity_of(
            connection, someone.rows["crm.organizations"], [someone.rows["crm.contacts"]]
        )
        return {
            table.fullname: [str(row) for row in connection.execute(persons.rows_of(table, person))]
            for table in persons.tables_about_persons()
        }


def stale(site: Installation) -> list[tuple[Any, ...]]:
    return site.rows("select asset, partition from analytics.stale_partitions order by 1, 2")


def dump(installation: Installation, server: EmbeddedPostgres) -> str:
    """The whole operational database, as `pg_dump` writes it."""
    program = server._home.binaries() / "pg_dump"
    url = installation.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run([program, "--dbname", url], capture_output=True, check=True)
    return done.stdout.decode()


def lake_text(site: Installation) -> str:
    root = Path(site.settings.effective_lake_url)
    paths = sorted(root.rglob("*.parquet"))
    assert paths
    return "\n".join(str(pq.read_table(path).to_pylist()) for path in paths)


def files_text(site: Installation) -> str:
    files = [path for path in site.settings.data_dir.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in files)


def dagster_text(site: Installation) -> str:
    records = site.instance.get_run_records()
    logs = [site.instance.all_logs(record.dagster_run.run_id) for record in records]
    return f"{records} {logs}"


def found_in(text: str, someone: Someone) -> list[str]:
    text = text.lower()
    return sorted(trace for trace in someone.traces if trace in text)


def _write_contents(site: Installation, someone: Someone) -> None:
    """A content that only the person got, and one that others got too."""
    with site.engine.begin() as connection:
        connection.execute(
            sa.text(
                "with own as (insert into delivery.contents"
                " (organization_id, digest, content, used_at)"
                " values (:organization, 'own', jsonb_build_object('text', cast(:told as text)),"
                " '2026-03-01') returning id)"
                " update delivery.messages"
                " set content_id = (select id from own), program_kind = null where id = :message"
            ),
            {
                "organization": someone.rows["crm.organizations"],
                "told": someone.sentence,
                "message": someone.rows["delivery.messages"],
            },
        )


def _write_files(site: Installation, one: Someone, other: Someone) -> None:
    """Files that name people: the outbox, reports, raw mail, logs."""
    settings = site.settings
    for someone in (one, other):
        message = someone.rows["delivery.messages"]
        for path in (
            settings.outbox_folder / "email" / "2026-03-01" / f"{message}.eml",
            Path(settings.reports_url) / "insights" / "acme" / f"{someone.number}.html",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(someone.sentence)
        store = FileStore(settings.effective_files_url)
        raw = f"mail/{someone.number}.eml"
        store.write(raw, someone.sentence.encode())
        site.execute(
            "update inbox.email_messages set raw_path = :raw where id = :id",
            raw=raw,
            id=someone.rows["inbox.email_messages"],
        )
    lifts = settings.data_dir / "suppressions" / "lift-acme.csv"
    lifts.parent.mkdir(exist_ok=True)
    lifts.write_text(f"acme,{one.normalised},email\nacme,{other.normalised},email\n")


def test_every_table_with_texts_has_rows_of_people_or_is_of_no_person() -> None:
    """A new table fails here until its texts are a person's, free texts, or named below."""
    with_texts = {
        name
        for name, table in TABLES.tables.items()
        if any(is_text(column) for column in table.columns)
    }
    of_people = {
        name
        for name in with_texts
        if ownership(TABLES.tables[name]).person or ownership(TABLES.tables[name]).mentions
    }
    assert with_texts - of_people == OF_NO_PERSON


def is_text(column: sa.Column[Any]) -> bool:
    kind = column.type.item_type if isinstance(column.type, sa.ARRAY) else column.type
    return isinstance(kind, sa.Text | sa.JSON)
