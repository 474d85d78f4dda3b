"""Messages that an application asks for: one transaction writes all of a request, or nothing.

The row of the request goes first: of two calls with one key the second waits for the first, and
then finds its messages.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.organization_settings import settings_of
from marketing_pipelines.domains.crm.recipients import Asked, ErasedPersonError, contacts_of
from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.delivery.named_templates.catalog import (
    Catalog,
    Outgoing,
    UnknownNameError,
    Wanted,
)
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.delivery.requests.tables import requests
from marketing_pipelines.domains.segments.dates import length_or_zero
from marketing_pipelines.failures import BadInputError

FOR_EVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


class KeyTakenError(BadInputError):
    """A request has the key of an earlier one with another body."""


@dataclass(frozen=True)
class MessageRequest:
    """The order of an application.

    Attributes:
        variables: Fields of the message's templates; None: none were given.
        idempotency_key: The request is done once for each; None: as often as it is sent.
        body_digest: Hash of the body, the same for the same one.
        send_at: Not before this; None: now.
    """

    organization_id: int
    wanted: Wanted
    variables: Mapping[str, Any] | None
    to: Sequence[Asked]
    idempotency_key: str | None
    body_digest: str
    send_at: dt.datetime | None


@dataclass(frozen=True)
class RequestedMessage:
    """The message to a recipient of a request.

    Attributes:
        id: Message number; equal recipients share one.
        to: Place of the recipient in the request, from 0.
        state: `queued`, or `suppressed` at once; in the answer to a repeated request the present
            state.
        reason: Why it ended as it did; None: it has not ended.
    """

    id: int
    to: int
    state: str
    reason: str | None


def request_messages(
    connection: sa.Connection, request: MessageRequest, *, now: dt.datetime
) -> tuple[list[RequestedMessage], bool]:
    """Writes the messages of a request.

    Returns:
        The message of each recipient, and whether the request is new.

    Raises:
        UnknownNameError: it names a contact or a template that its organization does not have.
        KeyTakenError: an earlier request of its key had another body.
    """
    if request.idempotency_key is not None:
        earlier = _earlier(connection, request, now)
        if earlier is not None:
            return earlier, False
    organization_id, channel = request.organization_id, request.wanted.channel
    names = [name for name in (request.wanted.template,) if name is not None]
    catalog = Catalog.read(connection, [organization_id], names)
    outgoing = catalog.outgoing(organization_id, request.wanted)
    to = _recipients(connection, request, outgoing.kind)
    for place, (asked, contact_id) in enumerate(zip(request.to, to, strict=True)):
        if contact_id is None:
            raise _unknown(place, asked)
    due_at = request.send_at or now
    rows = connection.execute(
        _sql("write_messages"),
        {
            "organization_id": organization_id,
            "channel": channel,
            "kind": outgoing.kind,
            "contacts": to,
            "priority": outgoing.priority,
            "domain_id": outgoing.domain_id,
            "category_id": outgoing.category_id,
            "idempotency_key": request.idempotency_key,
            "content_id": contents.store(connection, {0: (organization_id, outgoing.content)})[0],
            "variables": None if request.variables is None else json.dumps(request.variables),
            "due_at": due_at,
            "now": now,
            "expires_at": _expires_at(connection, request, outgoing, due_at),
        },
    ).all()
    if request.idempotency_key is not None:
        connection.execute(
            sa.update(requests)
            .where(*_is_earlier(request))
            .values(message_ids=[row.id for row in rows])
        )
    notify_workers(connection, [channel])
    return _numbered(rows), True


def _recipients(connection: sa.Connection, request: MessageRequest, kind: str) -> list[int | None]:
    """The contacts of a request; a transactional message is a new relationship."""
    try:
        return contacts_of(
            connection,
            request.organization_id,
            request.wanted.channel,
            request.to,
            source="api",
            is_own_wish=kind == "transactional",
        )
    except ErasedPersonError as error:
        reason = "erased: only a transactional message may begin anew"
        raise UnknownNameError(f"to[{error.place}].address", reason) from error


def _earlier(
    connection: sa.Connection, request: MessageRequest, now: dt.datetime
) -> list[RequestedMessage] | None:
    """The messages of the earlier request with the key; None: this one is the first."""
    first = connection.execute(
        pg.insert(requests)
        .values(
            organization_id=request.organization_id,
            idempotency_key=request.idempotency_key,
            body_digest=request.body_digest,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(requests.c.id)
    ).first()
    if first is not None:
        return None
    stored = connection.execute(
        sa.select(requests.c.body_digest, requests.c.message_ids).where(*_is_earlier(request))
    ).one()
    if stored.body_digest != request.body_digest:
        raise KeyTakenError(
            f"idempotency_key: an earlier request had '{request.idempotency_key}' with another "
            "body: give this one a key of its own."
        )
    return _numbered(
        connection.execute(_sql("messages_of_request"), {"ids": stored.message_ids}).all()
    )


def _is_earlier(request: MessageRequest) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        requests.c.organization_id == request.organization_id,
        requests.c.idempotency_key == request.idempotency_key,
    )


def _numbered(rows: Sequence[sa.Row[Any]]) -> list[RequestedMessage]:
    return [RequestedMessage(row.id, to, row.state, row.reason) for to, row in enumerate(rows)]


def _unknown(place: int, asked: Asked) -> UnknownNameError:
    if asked.contact is not None:
        return UnknownNameError(f"to[{place}].contact", f"there is no contact '{asked.contact}'")
    return UnknownNameError(
        f"to[{place}].address",
        f"the contact 'address:{asked.address}' has another address now: name a contact",
    )


def _expires_at(
    connection: sa.Connection, request: MessageRequest, outgoing: Outgoing, due_at: dt.datetime
) -> dt.datetime | None:
    """The end of the messages; None: the organization's setting counts from now."""
    if outgoing.valid_for is not None:
        valid_for = length_or_zero(outgoing.valid_for)
    elif request.send_at is None:
        return None
    else:
        own = settings_of(connection, request.organization_id).delivery.valid_for
        valid_for = dt.timedelta(seconds=own.seconds(outgoing.kind))
    return due_at + valid_for if valid_for else FOR_EVER


@cache
def _sql(name: str) -> sa.TextClause:
    folder = resources.files("marketing_pipelines.domains.delivery") / "sql" / "requests"
    return sa.text((folder / f"{name}.sql").read_text(encoding="utf-8"))
