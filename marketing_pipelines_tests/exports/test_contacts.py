"""Contacts out as a file, and in again: nothing changes."""

import csv
import io
from pathlib import Path

from marketing_pipelines_tests.exports.exporting import Exporter

CONTACTS = '''\
organization_id,external_id,email,phone,first_name,last_name,lead_score,tags,created_at,city,seats
{o},c2,two@example.com,+49 30 1234567,Zoë,"O'Hara, ""Z""",12,vip;new,2026-01-02T03:04:05.25Z,Köln,3
{o},c1,one@example.com,+4930765432,'=1+1,'+cmd|x,,,2026-01-01T00:00:00Z,'@home,
{o},c3,,,-5,'-abc,,'=a;b,2026-01-03T00:00:00Z,-12.5,
'''
CONTACT_ROWS = """
    select external_id, email, phone, first_name, last_name, lead_score, tags, created_at,
        attributes
    from crm.contacts where organization_id = :own order by external_id
"""


def test_contacts_come_out_as_they_went_in(exporter: Exporter, tmp_path: Path) -> None:
    exporter.load(tmp_path, "contacts", CONTACTS.format(o=exporter.name))
    content = exporter.exported().decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["external_id"] for row in rows] == ["c1", "c2", "c3"]
    assert list(rows[0])[:3] == ["organization_id", "external_id", "email"]
    assert list(rows[0])[-3:] == ["created_at", "city", "seats"]
    assert rows[0]["first_name"] == "'=1+1"
    assert rows[0]["last_name"] == "'+cmd|x"
    assert rows[0]["city"] == "'@home"
    assert rows[1]["phone"] == "+49 30 1234567"
    assert rows[1]["last_name"] == 'O\'Hara, "Z"'
    assert rows[1]["created_at"] == "2026-01-02T03:04:05.25Z"
    assert rows[2]["first_name"] == "-5"
    assert rows[2]["last_name"] == "'-abc"
    assert rows[2]["tags"] == "'=a;b"
    assert rows[2]["city"] == "-12.5"


def test_a_file_of_contacts_loads_again_unchanged(exporter: Exporter, tmp_path: Path) -> None:
    exporter.load(tmp_path, "contacts", CONTACTS.format(o=exporter.name))
    exporter.installation.execute(
        """update crm.contacts set attributes = attributes || '{"n": 7, "yes": true, "o": {"a": 1}}'
        where external_id = 'c3'"""
    )
    before = exporter.rows(CONTACT_ROWS)
    for format_ in ("csv", "json"):
        path = tmp_path / f"again.{format_}"
        path.write_bytes(exporter.exported(format_=format_))
        result = exporter.load_file("contacts", path)
        assert (result.repeated, result.changed, result.loaded, result.rejected) == (3, 0, 0, 0)
        assert exporter.rows(CONTACT_ROWS) == before


def test_deleted_contacts_come_back_from_the_file(exporter: Exporter, tmp_path: Path) -> None:
    exporter.load(tmp_path, "contacts", CONTACTS.format(o=exporter.name))
    before = exporter.rows(CONTACT_ROWS)
    for format_ in ("csv", "json"):
        path = tmp_path / f"again.{format_}"
        path.write_bytes(exporter.exported(format_=format_))
        exporter.installation.execute("delete from crm.contacts")
        assert exporter.load_file("contacts", path).loaded == 3
        assert exporter.rows(CONTACT_ROWS) == before
