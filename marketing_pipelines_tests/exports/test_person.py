"""All data of one contact: every row that an erasure would touch, and nobody else's."""

import csv
import io
import json
import zipfile
from pathlib import Path

from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.exports.exporting import Exporter

CONTACTS = """\
organization_id,external_id,email,first_name
{o},c1,one@example.com,=Ann
{o},c2,two@example.com,Bob
"""
EVENTS = """\
event_id,organization_id,contact_id,event_type,occurred_at
e1,{o},c1,sent,2026-03-01T10:00:00Z
e2,{o},c2,sent,2026-03-01T10:00:00Z
"""


def archive(exporter: Exporter, tmp_path: Path, format_: str) -> zipfile.ZipFile:
    """The archive of c1, who has an event, a deal and a mail."""
    exporter.load(tmp_path, "contacts", CONTACTS.format(o=exporter.name))
    exporter.load(tmp_path, "events", EVENTS.format(o=exporter.name))
    deal = f"organization_id,external_id,name,contact_id\n{exporter.name},d1,Roof,c1\n"
    exporter.load(tmp_path, "deals", deal)
    FileStore(exporter.installation.settings.effective_files_url).write("raw/1", b"Subject: x")
    exporter.installation.execute(
        "insert into inbox.email_messages (organization_id, identity, contact_ids, raw_path,"
        " received_at, share) select organization_id, 'i', array[id], 'raw/1', now(), 'full'"
        " from crm.contacts where external_id = 'c1'"
    )
    return zipfile.ZipFile(io.BytesIO(exporter.exported("contact", format_, contact="c1")))


def test_a_contact_is_an_archive_with_one_file_for_each_table(
    exporter: Exporter, tmp_path: Path
) -> None:
    with archive(exporter, tmp_path, "csv") as files:
        names = set(files.namelist())
        assert {"crm.contacts.csv", "crm.deals.csv", "inbox.email_messages.csv"} <= names
        [contact] = csv.DictReader(io.StringIO(files.read("crm.contacts.csv").decode()))
        assert (contact["external_id"], contact["first_name"]) == ("c1", "'=Ann")
        text = files.read("analytics.contact_activity.csv").decode()
        assert [row["event_id"] for row in csv.DictReader(io.StringIO(text))] == ["e1"]
        [mail] = [name for name in names if name.startswith("mail/")]
        assert files.read(mail) == b"Subject: x"
        assert all(b"two@example.com" not in files.read(name) for name in names)


def test_a_contact_as_json_and_as_a_document(exporter: Exporter, tmp_path: Path) -> None:
    with archive(exporter, tmp_path, "json") as files:
        [line] = files.read("crm.deals.jsonl").decode().splitlines()
        assert json.loads(line)["name"] == "Roof"
    assert exporter.exported("contact", "pdf", contact="c1").startswith(b"%PDF-")
