"""Exports as they are now, for the API, commands and pages."""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib import resources

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.links import ExportedFile

MAX_LISTED = 100
EXPORTS_FOLDER = "exports"


@dataclass(frozen=True)
class ExportStatus:
    """One export.

    Attributes:
        organization: External id.
        state: queued, running, ready, failed, expired or cancelled.
        contact: External id of the contact that the rows are about; None: all.
        segment: External id of the segment whose members they are about; None: all.
        notify: External ids of users.
        expected_rows: Rows when it was asked for.
        size: Bytes of the file; None: there is none yet.
        file: Its path in the store.
        note: What the file lacks.
    """

    id: int
    organization: str
    organization_id: int
    kind: str
    format: str
    state: str
    contact: str | None
    segment: str | None
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    columns: list[str] | None
    requested_by: str
    expected_rows: int
    rows: int
    size: int | None
    file: str | None
    attempt: int
    error: str | None
    note: str | None
    progress_at: dt.datetime | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    expires_at: dt.datetime | None
    notify: list[str]

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1."""
        if self.state in ("ready", "expired"):
            return 1.0
        return min(self.rows / max(self.expected_rows, 1), 0.99)

    @property
    def linked(self) -> ExportedFile | None:
        """The file that its link gives out; None: it was never ready."""
        if self.expires_at is None:
            return None
        return ExportedFile(self.id, self.organization_id, self.expires_at)

    @property
    def file_name(self) -> str:
        """The name under which it is downloaded."""
        suffix = {"json": "jsonl"}.get(self.format, self.format)
        if self.kind == "contact" and self.format != "pdf":
            suffix = "zip"
        return f"{self.kind}-{self.created_at:%Y-%m-%d}-{self.id}.{suffix}"


def folder_of(export_id: int) -> str:
    """Returns the folder of an export's files."""
    return f"{EXPORTS_FOLDER}/{export_id}"


def listed(
    connection: sa.Connection,
    now: dt.datetime,
    *,
    organization_id: int | None = None,
    before: int | None = None,
    limit: int = MAX_LISTED,
) -> list[ExportStatus]:
    """Returns exports, latest first.

    Args:
        organization_id: Those of one organization; None: of all.
        before: Only those with smaller numbers.
    """
    return _read(connection, now, None, organization_id, before, limit)


def status_of(
    connection: sa.Connection, export_id: int, now: dt.datetime, organization_id: int | None
) -> ExportStatus | None:
    """Returns one export; None: there is none, or it is not of this organization (None: any)."""
    return next(iter(_read(connection, now, export_id, organization_id, None, 1)), None)


def _read(
    connection: sa.Connection,
    now: dt.datetime,
    export_id: int | None,
    organization_id: int | None,
    before: int | None,
    limit: int,
) -> list[ExportStatus]:
    rows = connection.execute(
        _listed(),
        {
            "now": now,
            "id": export_id,
            "organization_id": organization_id,
            "before": before,
            "limit": limit,
        },
    )
    return [ExportStatus(**row._mapping) for row in rows]


@cache
def _listed() -> sa.TextClause:
    path = resources.files(__package__) / "sql" / "listed.sql"
    return sa.text(path.read_text(encoding="utf-8"))
