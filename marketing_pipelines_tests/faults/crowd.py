"""Segments of one organization under faults: many contacts, and evaluations in other processes."""

import datetime as dt
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines.definitions import defs
from marketing_pipelines.domains.segments.evaluation import JOB
from marketing_pipelines.jobs.scheduling import job_name
from marketing_pipelines.running import QUIET
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines_tests.cli.console import start
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.segments.test_evaluation import HOUR, NOW, Segments

__all__ = ["HOUR", "JOB", "NOW", "Crowd", "evaluated", "evaluating", "finished"]

_ORGANIZATION = """
    insert into crm.organizations (external_id) values (:organization) on conflict do nothing
"""
_CONTACTS = """
    insert into crm.contacts (organization_id, external_id, attributes)
    select organization.id, 'c' || n, jsonb_build_object('n', n, 'decile', n % 10)
    from crm.organizations as organization, generate_series(1, :number) as n
    where organization.external_id = :organization
"""
_EVENTS = """
    insert into analytics.contact_activity
        (organization_id, event_id, contact_id, event_type, occurred_at, received_at, properties)
    select contact.organization_id, concat(contact.id, ' ', cast(:at as timestamptz)),
           contact.id, :kind, :at, :at, cast(:properties as jsonb)
    from crm.contacts as contact join crm.organizations as organization
        on organization.id = contact.organization_id
    where organization.external_id = :organization
        and cast(contact.attributes ->> 'n' as bigint) % :divisor = 0
"""
_MEMBERS = """
    select contact.external_id
    from segments.memberships join segments.segments as segment on segment.id = segment_id
    join crm.organizations as organization on organization.id = segment.organization_id
    join crm.contacts as contact on contact.id = contact_id
    where organization.external_id = :organization and segment.external_id = :name
        and left_at is null
"""


class Crowd(Segments):
    """One organization with contacts c1, c2 and so on, and what was told of its segments.

    Attributes:
        organization: Its external id.
    """

    def __init__(
        self, installation: Installation, folder: Path, organization: str = "acme"
    ) -> None:
        super().__init__(installation, folder)
        self.organization = organization

    def grow(self, number: int) -> None:
        """So many contacts, by one statement; `n` is their number, `decile` its last digit."""
        self.installation.execute(_ORGANIZATION, organization=self.organization)
        self.installation.execute(_CONTACTS, organization=self.organization, number=number)

    def happens(
        self, kind: str, at: dt.datetime, *, divisor: int = 1, properties: str = "{}"
    ) -> None:
        """An event of each contact whose number is divisible."""
        self.installation.execute(
            _EVENTS,
            organization=self.organization,
            kind=kind,
            at=at,
            divisor=divisor,
            properties=properties,
        )

    def rule(self, segment: str, rule: Any, **others: Any) -> None:
        super().rule(segment, rule, **{"organization_id": self.organization, **others})

    def numbers(self, name: str) -> set[int]:
        """The numbers of the members of a segment; each is a member once."""
        rows = self.installation.rows(_MEMBERS, organization=self.organization, name=name)
        found = [int(contact.removeprefix("c")) for (contact,) in rows]
        assert len(found) == len(set(found))
        return set(found)

    def evaluate_by_sensor(self, at: dt.datetime) -> dg.ExecuteInProcessResult:
        """Evaluates as the daemon does when the sensor asks for it."""
        tags = {TICK_TAG: at.isoformat(), "dagster/sensor_name": "touched_contacts_sensor"}
        return defs.resolve_job_def(job_name(JOB)).execute_in_process(
            instance=self.installation.instance, tags=tags, run_config=QUIET
        )

    def session(self) -> tuple[Any, ...]:
        """(status, items_ok, items_failed) of the latest evaluation."""
        [found] = self.installation.rows(
            "select status, items_ok, items_failed from ops.job_sessions"
            " where job = :job order by id desc limit 1",
            job=JOB,
        )
        return found

    def alerts(self) -> list[tuple[Any, ...]]:
        """(item, kind) of everything that the owner of the job is told, in its order."""
        return self.installation.rows(
            "select item, kind from ops.alerts join ops.incidents as incident"
            " on incident.id = incident_id where subject = :job order by alerts.id",
            job=JOB,
        )

    def error_of(self, segment: str) -> str | None:
        """The reason why the segment fails; None if it does not."""
        rows = self.installation.rows(
            "select error from ops.item_failures where job = :job and item = :item",
            job=JOB,
            item=f"segment {segment} of {self.organization}",
        )
        return rows[0][0] if rows else None

    def touched(self) -> list[tuple[Any, ...]]:
        """The stored notes of touched contacts."""
        return self.installation.rows("select * from segments.touched_contacts order by id")


def events_told(installation: Installation) -> list[tuple[Any, ...]]:
    """(segment, type, contact, tick) of everything that the bus was told."""
    return installation.rows(
        "select (payload ->> 'segment_id')::int, type, contact_id, payload ->> 'tick'"
        " from ops.bus_events where type like 'segment.%'"
    )


def evaluating(at: dt.datetime) -> AbstractContextManager["subprocess.Popen[str]"]:
    """An evaluation as an operator starts it, in a process of its own."""
    return start("run", JOB, "--at", f"{at:%Y-%m-%dT%H:%M:%S}")


def evaluated(at: dt.datetime, seconds: float = 240) -> str:
    """The same, to its end; what it printed."""
    with evaluating(at) as process:
        return finished(process, seconds)


def finished(process: "subprocess.Popen[str]", seconds: float = 240) -> str:
    """Its output; it must have ended well."""
    printed, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, (printed, errors)
    return printed


@contextmanager
def half_way(installation: Installation, segment: str, contact: str) -> Iterator[sa.Connection]:
    """Whoever wants to publish this contact in this segment waits until it is rolled back."""
    with installation.engine.connect() as blocker:
        blocked = blocker.execute(
            sa.text(
                "insert into segments.memberships (segment_id, contact_id, entered_at)"
                " select segment.id, contact.id, now()"
                " from segments.segments as segment join crm.contacts as contact"
                " using (organization_id)"
                " where segment.external_id = :segment and contact.external_id = :contact"
            ),
            {"segment": segment, "contact": contact},
        )
        assert blocked.rowcount == 1
        yield blocker
