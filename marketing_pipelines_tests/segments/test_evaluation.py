"""Segments are evaluated: in full or for those whom something touched, with the same result."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from marketing_pipelines_tests.installation import Installation, instant

NOW = instant("2026-03-10T12:00Z")
HOUR = dt.timedelta(hours=1)


class Segments:
    """One organization whose segments are loaded, evaluated and looked at."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.events = 0

    def contacts(self, *rows: dict[str, Any]) -> None:
        self._load("contacts", [{"organization_id": "acme"} | row for row in rows])

    def rule(self, name: str, rule: Any, **others: Any) -> None:
        row = {"external_id": name, "organization_id": "acme", "rule": rule}
        self._load("segments", [row | others])

    def manual(self, segment: str, contact: str, action: str) -> None:
        row = {"organization_id": "acme", "segment": segment}
        self._load("segment_members", [row | {"contact_id": contact, "action": action}])

    def event(self, contact: str, kind: str, at: str, **others: Any) -> None:
        self.events += 1
        row = {"event_id": f"e{self.events}", "contact_id": contact, "event_type": kind}
        self.installation.load_events(self.folder, [row | {"occurred_at": at} | others])

    def evaluate(self, at: dt.datetime = NOW) -> Any:
        [outcome] = self.installation.run("segments/memberships", at=at)
        return outcome

    def members(self, name: str) -> list[str]:
        return [
            row[0]
            for row in self.installation.rows(
                "select contact.external_id from segments.memberships"
                " join segments.segments as segment on segment.id = segment_id"
                " join crm.contacts as contact on contact.id = contact_id"
                " where segment.external_id = :name and left_at is null order by 1",
                name=name,
            )
        ]

    def _load(self, kind: str, rows: list[dict[str, Any]]) -> None:
        path = self.folder / f"{kind}-{len(list(self.folder.iterdir()))}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        result = self.installation.load(kind, path)
        assert not result.rejected, path.with_name(path.name + ".rejects.csv").read_text()


@pytest.fixture
def segments(installation: Installation, tmp_path: Path) -> Segments:
    return Segments(installation, tmp_path)


def test_a_rule_becomes_members(segments: Segments) -> None:
    segments.contacts({"external_id": "ann", "city": "Bern"}, {"external_id": "bob"})
    segments.rule("bernese", {"attribute": "city", "op": "=", "value": "Bern"})
    segments.evaluate()
    assert segments.members("bernese") == ["ann"]
