"""Programs, triggers and enrolments for tests, made and moved by SQL."""

import datetime as dt
import json
from typing import Any

import sqlalchemy as sa

from marketing_pipelines_tests.installation import Installation, instant

TABLES = {
    "campaign": "campaigns.campaigns",
    "sequence": "campaigns.sequences",
    "journey": "journey.journeys",
}
STARTED = instant("2026-03-01T00:00Z")


class Programs:
    """One organization with its programs and contacts."""

    def __init__(self, installation: Installation, organization: int | None = None) -> None:
        self.installation = installation
        self.organization = organization or self.new_organization("acme")

    def new_organization(self, name: str, **columns: Any) -> int:
        """A further one; returns its number."""
        number: int = self._insert("crm.organizations", external_id=name, **columns)
        return number

    def contact(self, name: str, **columns: Any) -> int:
        """A contact; returns its number, also if it was there."""
        owner = {"organization_id": self.organization} | columns
        found = self.installation.rows(
            "select id from crm.contacts where organization_id = :organization"
            " and external_id = :name",
            organization=owner["organization_id"],
            name=name,
        )
        return found[0][0] if found else self._insert("crm.contacts", external_id=name, **owner)

    def program(self, kind: str, name: str, status: str = "active", **columns: Any) -> int:
        """A program that is active since March began; returns its number."""
        given = {"organization_id": self.organization, "started_at": STARTED} | columns
        return self._insert(TABLES[kind], external_id=name, status=status, **given)

    def set_status(self, kind: str, program: int, status: str) -> None:
        """Pauses it, or whatever else."""
        self.installation.execute(
            f"update {TABLES[kind]} set status = :status where id = :program",
            status=status,
            program=program,
        )

    def step(self, kind: str, program: int, name: str, type_: str, **columns: Any) -> int:
        """A step; returns its number."""
        given = {"organization_id": self.organization, "external_id": name, "position": 1}
        given |= {"program_kind": kind, "program_id": program, "type": type_} | columns
        return self._insert("lifecycle.steps", **given)

    def trigger(self, kind: str, program: int, type_: str, **columns: Any) -> int:
        """Lets contacts in since March began; returns its number."""
        given = {"organization_id": self.organization, "external_id": f"{type_} {program}"}
        given |= {"program_kind": kind, "program_id": program, "type": type_}
        given |= {"created_at": STARTED} | columns
        if "config" in given:
            given["config"] = json.dumps(given["config"])
        return self._insert("lifecycle.triggers", **given)

    def segment(self, name: str, **columns: Any) -> int:
        """A segment; returns its number."""
        given = {"organization_id": self.organization} | columns
        return self._insert("segments.segments", external_id=name, **given)

    def enrol(self, kind: str, program: int, contact: str, **columns: Any) -> int:
        """A contact enters; returns the number of its enrolment."""
        given = {"organization_id": self.organization, "entered_at": STARTED} | columns
        given |= {"program_kind": kind, "program_id": program, "contact_id": self.contact(contact)}
        return self._insert("lifecycle.enrolments", **given)

    def finish(self, enrolment: int, status: str, at: dt.datetime) -> None:
        """An enrolment ends as completed, exited or failed."""
        self.installation.execute(
            f"update lifecycle.enrolments set status = :status, {status}_at = :at where id = :id",
            status=status,
            at=at,
            id=enrolment,
        )

    def entered(self, kind: str, program: int) -> list[tuple[str, int, str | None]]:
        """The enrolments: contact, rotation, and the trigger's data."""
        return self.installation.rows(
            "select contact.external_id, rotation, entry from lifecycle.enrolments"
            " join crm.contacts as contact on contact.id = contact_id"
            " where program_kind = :kind and program_id = :program order by 1, 2",
            kind=kind,
            program=program,
        )

    def _insert(self, table: str, **columns: Any) -> Any:
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        with self.installation.engine.begin() as connection:
            return connection.execute(
                sa.text(f"insert into {table} ({names}) values ({values}) returning id"), columns
            ).scalar_one()
