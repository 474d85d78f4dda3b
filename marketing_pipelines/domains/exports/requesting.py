"""Asking for exports, and cancelling them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.tables import contacts, organizations, users
from marketing_pipelines.domains.delivery.links import public_base
from marketing_pipelines.domains.delivery.requests.requesting import KeyTakenError
from marketing_pipelines.domains.exports.kinds import problem_of_columns, rows_of
from marketing_pipelines.domains.exports.selection import MAX_COLUMNS, RowChoice
from marketing_pipelines.domains.exports.tables import FORMATS, KINDS, UNENDED, requests
from marketing_pipelines.domains.exports.tasks import work_request
from marketing_pipelines.domains.segments.tables import segments
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.enqueue import enqueue
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.tables import installation

MAX_PDF_ROWS = 10_000
MAX_NOTIFIED = 100
# How many times the limit rows that are too many are counted.
COUNTED_LIMITS = 10
WITHOUT_PERIOD_REFUSED = ("events", "messages", "activities")


class UnknownThingError(BadInputError):
    """A request names a contact, a segment or a user that its organization does not have."""


@dataclass(frozen=True)
class ExportOrder:
    """A request as it comes from outside.

    Attributes:
        contact: External id; None: all contacts.
        segment: External id; None: all contacts.
        from_: First day of the organization's zone, or instant with its zone; None: from the first.
        to: The day or instant before which the rows lie; None: up to the last.
        columns: Columns and their order; None: those of the kind.
        notify: External ids of users.
        idempotency_key: It is done once for each; None: as often as it is sent.
        body_digest: Hash of the body, the same for the same one.
        requested_by: Name of the caller.
    """

    organization_id: int
    kind: str
    format: str
    contact: str | None = None
    segment: str | None = None
    from_: str | None = None
    to: str | None = None
    columns: Sequence[str] | None = None
    notify: Sequence[str] = ()
    idempotency_key: str | None = None
    body_digest: str | None = None
    requested_by: str = "command"


def request_export(
    connection: sa.Connection, order: ExportOrder, *, now: dt.datetime
) -> tuple[int, str, bool]:
    """Writes a request and the task that works it.

    Returns:
        The export's number and state, and whether it is new.

    Raises:
        UnknownThingError: it names a contact, segment or user that the organization does not have.
        KeyTakenError: an earlier request of its key had another body.
        BadInputError: it cannot be done; the sentence names the field and the reason.
    """
    earlier = _earlier(connection, order)
    if earlier is not None:
        return *earlier, False
    _refuse_combination(order)
    choice = _choice(connection, order)
    _refuse_columns(connection, order, choice)
    notified = _notified(connection, order)
    rows = _counted(connection, order, choice)
    row = connection.execute(
        pg.insert(requests)
        .values(
            organization_id=order.organization_id,
            kind=order.kind,
            format=order.format,
            contact_id=choice.contact_id,
            segment_id=choice.segment_id,
            starts_at=choice.starts_at,
            ends_at=choice.ends_at,
            columns=None if order.columns is None else list(order.columns),
            notify=notified,
            requested_by=order.requested_by,
            idempotency_key=order.idempotency_key,
            body_digest=order.body_digest,
            state="queued",
            expected_rows=rows,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "idempotency_key"])
        .returning(requests.c.id)
    ).first()
    if row is None:
        earlier = _earlier(connection, order)
        assert earlier is not None
        return *earlier, False
    # One at a time of each organization, so that none waits for all files of another one.
    [task_id] = enqueue(
        connection,
        work_request,
        [{"request_id": row.id, "organization_id": order.organization_id}],
        lock=["organization_id"],
    )
    connection.execute(sa.update(requests).where(requests.c.id == row.id).values(task_id=task_id))
    return row.id, "queued", True


def cancel_export(connection: sa.Connection, export_id: int, *, now: dt.datetime) -> bool:
    """Cancels an export that is queued or running.

    Returns:
        False: it has ended already, or there is none.
    """
    cancelled = connection.execute(
        sa.update(requests)
        .where(requests.c.id == export_id, requests.c.state.in_(UNENDED))
        .values(state="cancelled", ended_at=now)
    )
    return cancelled.rowcount == 1


def _earlier(connection: sa.Connection, order: ExportOrder) -> tuple[int, str] | None:
    """The earlier request with the key; None: this one is the first."""
    if order.idempotency_key is None:
        return None
    row = connection.execute(
        sa.select(requests.c.id, requests.c.state, requests.c.body_digest).where(
            requests.c.organization_id == order.organization_id,
            requests.c.idempotency_key == order.idempotency_key,
        )
    ).first()
    if row is None:
        return None
    if row.body_digest != order.body_digest:
        raise KeyTakenError(
            f"idempotency_key: an earlier request had '{order.idempotency_key}' with another "
            "body: give this one a key of its own."
        )
    return row.id, row.state


def _refuse_combination(order: ExportOrder) -> None:
    if order.kind not in KINDS:
        raise BadInputError(f"kind: '{order.kind}' is none of {', '.join(KINDS)}.")
    if order.format not in FORMATS:
        raise BadInputError(f"format: '{order.format}' is none of {', '.join(FORMATS)}.")
    if order.kind == "contact":
        _refuse_for_a_contact(order)
    elif order.kind in WITHOUT_PERIOD_REFUSED and (order.from_ is None or order.to is None):
        missing = "from" if order.from_ is None else "to"
        raise BadInputError(f"{missing}: an export of {order.kind} needs from and to.")
    if order.kind == "campaign_stats" and (order.contact or order.segment):
        given = "contact" if order.contact else "segment"
        raise BadInputError(f"{given}: campaign_stats are about no contacts: leave it out.")
    if order.kind == "contacts" and order.contact:
        raise BadInputError(
            "contact: the kind contact exports all data of one; contacts take a segment."
        )
    if len(order.columns or ()) > MAX_COLUMNS or len(order.notify) > MAX_NOTIFIED:
        raise BadInputError(
            f"At most {MAX_COLUMNS:,} columns and {MAX_NOTIFIED} users to notify are taken."
        )
    if order.columns is not None and len({*order.columns}) != len(order.columns):
        twice = next(name for name in order.columns if list(order.columns).count(name) > 1)
        raise BadInputError(f"columns: '{twice}' is named twice.")


def _refuse_for_a_contact(order: ExportOrder) -> None:
    if order.contact is None:
        raise BadInputError("contact: name the contact whose data is exported.")
    if order.format in ("xlsx", "parquet"):
        raise BadInputError(
            f"format: the data of a contact is of many tables, which {order.format} cannot hold: "
            "take csv, json or pdf."
        )
    for name in ("segment", "from_", "to", "columns"):
        if getattr(order, name) is not None:
            raise BadInputError(f"{name.rstrip('_')}: the kind contact has all data: leave it out.")


def _choice(connection: sa.Connection, order: ExportOrder) -> RowChoice:
    starts_at, ends_at = _period(connection, order)
    return RowChoice(
        order.organization_id,
        _numbered(connection, order, contacts, "contact", order.contact),
        _numbered(connection, order, segments, "segment", order.segment),
        starts_at,
        ends_at,
    )


def _numbered(
    connection: sa.Connection, order: ExportOrder, table: sa.Table, field: str, name: str | None
) -> int | None:
    if name is None:
        return None
    number: int | None = connection.execute(
        sa.select(table.c.id).where(
            table.c.organization_id == order.organization_id, table.c.external_id == name
        )
    ).scalar()
    if number is None:
        raise UnknownThingError(f"{field}: there is no {field} '{name[:60]}'.")
    return number


def _period(
    connection: sa.Connection, order: ExportOrder
) -> tuple[dt.datetime | None, dt.datetime | None]:
    if order.from_ is None and order.to is None:
        return None, None
    default = sa.select(installation.c.timezone).scalar_subquery()
    zone = connection.execute(
        sa.select(sa.func.coalesce(organizations.c.timezone, default)).where(
            organizations.c.id == order.organization_id
        )
    ).scalar_one()
    starts_at = _instant("from", order.from_, ZoneInfo(zone))
    ends_at = _instant("to", order.to, ZoneInfo(zone))
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        raise BadInputError(f"to: '{order.to}' is not after from, '{order.from_}'.")
    return starts_at, ends_at


def _instant(field: str, text: str | None, zone: ZoneInfo) -> dt.datetime | None:
    """The instant that a day of the zone begins, or the one that is written."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-03-01"):
            day = dt.date.fromisoformat(text)
            return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
        instant = dt.datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise BadInputError(
        f"{field}: '{text[:60]}' is neither a day such as 2026-03-01 nor an instant with its zone, "
        "such as 2026-03-01T09:00:00Z."
    )


def _refuse_columns(connection: sa.Connection, order: ExportOrder, choice: RowChoice) -> None:
    if order.columns is None:
        return
    if not order.columns:
        raise BadInputError("columns: name at least one, or leave it out.")
    problem = problem_of_columns(connection, order.kind, choice, order.columns)
    if problem is not None:
        raise BadInputError(f"columns: {problem}.")


def _notified(connection: sa.Connection, order: ExportOrder) -> list[int]:
    if not order.notify:
        return []
    known = {
        row.external_id: row.id
        for row in connection.execute(
            sa.select(users.c.external_id, users.c.id).where(
                users.c.organization_id == order.organization_id,
                users.c.external_id.in_(list(order.notify)),
            )
        )
    }
    for name in order.notify:
        if name not in known:
            raise UnknownThingError(f"notify: there is no user '{name[:60]}'.")
    if public_base(get_settings()) is None:
        raise BadInputError(
            "notify: a mail needs a link, and MARKETING_PUBLIC_URL is not set: set it to the "
            "address of the API."
        )
    return sorted({known[name] for name in order.notify})


def _counted(connection: sa.Connection, order: ExportOrder, choice: RowChoice) -> int:
    """The number of rows, which is within the limits.

    Raises:
        BadInputError: it is not.
    """
    most = settings_of(connection, order.organization_id).exports.max_rows
    reason = "exports.max_rows allows"
    if order.format == "pdf" and most > MAX_PDF_ROWS:
        most, reason = MAX_PDF_ROWS, "a pdf takes"
    chosen = rows_of(order.kind, choice)
    rows = chosen.count(connection, most)
    if rows > most:
        counted = chosen.count(connection, COUNTED_LIMITS * most)
        shown = f"{counted:,}"
        if counted > COUNTED_LIMITS * most:
            shown = f"more than {COUNTED_LIMITS * most:,}"
        remedy = "choose fewer by from and to, or by a segment"
        if order.kind == "contact":
            remedy = "take json" if order.format == "pdf" else "raise exports.max_rows"
        raise BadInputError(
            f"{order.kind}: there are {shown} rows, and {reason} {most:,}: {remedy}."
        )
    return rows
