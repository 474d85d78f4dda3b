"""Addresses of messages, for applications: ask for some, and see how one ended."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field, model_validator

from marketing_pipelines.api import models
from marketing_pipelines.api.admission import Visit, require
from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.bodies import Body, RawBody, StorableBody, digest
from marketing_pipelines.api.fields import ContactOrAddress, ShortName, ZonedInstant, asked_of
from marketing_pipelines.api.organizations import organization_of, own_organization
from marketing_pipelines.api.queues import MAX_ID
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.delivery.named_templates.catalog import UnknownNameError, Wanted
from marketing_pipelines.domains.delivery.named_templates.template import problem_of_parts
from marketing_pipelines.domains.delivery.requests.reading import MessageStatus, message_status
from marketing_pipelines.domains.delivery.requests.requesting import (
    KeyTakenError,
    MessageRequest,
    RequestedMessage,
    request_messages,
)
from marketing_pipelines.domains.delivery.tables import MESSAGE_KINDS
from marketing_pipelines.domains.segments.dates import length_or_zero

router = APIRouter(prefix="/v1", tags=["applications"])
MAX_RECIPIENTS = 1_000
MAX_DAYS_AHEAD = 90
# Variables are stored with each message.
MAX_VARIABLES_BYTES = 50_000_000
_Part = Annotated[str, Field(min_length=1)]


def _length(text: str) -> str:
    length_or_zero(text)
    return text


class MessageRecipient(ContactOrAddress):
    """A contact or an address, and the name of the person."""

    name: ShortName | None = Field(
        default=None, description="Name of the person, for a new contact"
    )


class Content(Body):
    """Parts of a message; fields such as `{{ message.code }}` are filled in."""

    subject: _Part | None = None
    title: _Part | None = None
    text: _Part | None = None
    html: _Part | None = None

    @property
    def parts(self) -> dict[str, str]:
        """The parts that are there."""
        return self.model_dump(exclude_none=True)


class MessageOrder(StorableBody):
    """Messages with one content, to one or many recipients."""

    organization: ShortName = Field(description="External id, or number")
    channel: Literal["email", "sms", "push"]
    kind: Literal[MESSAGE_KINDS] = "transactional"  # type: ignore[valid-type]
    to: list[MessageRecipient] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    template: ShortName | None = Field(default=None, description="Id of a template")
    content: Content | None = Field(default=None, description="In place of a template")
    variables: dict[str, Any] | None = Field(
        default=None, description="Fields of the template or content, by name and in `message`"
    )
    idempotency_key: ShortName | None = Field(
        default=None, description="The request is done once for each; repeat it with the same body"
    )
    send_at: ZonedInstant | None = Field(
        default=None,
        description=f"Not before this instant, at most {MAX_DAYS_AHEAD} days ahead",
        examples=["2026-03-01T09:00:00Z"],
    )
    valid_for: Annotated[str, AfterValidator(_length)] | None = Field(
        default=None,
        description="Not sent any more so long after `send_at` or the call; 0 = sent whenever; "
        "default: the template's, else `delivery.valid_for` of the organization",
        examples=["24h"],
    )
    priority: Annotated[int, Field(ge=-100, le=100)] | None = Field(
        default=None,
        description="Higher first among the messages of one sending domain; default: the "
        "template's, else 0",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "MessageOrder":
        if (self.template is None) == (self.content is None):
            raise ValueError("it has either a template or a content")
        return self

    @property
    def wanted(self) -> Wanted:
        """The message, whose template is not looked up yet."""
        return Wanted(
            channel=self.channel,
            template=self.template,
            content={} if self.content is None else self.content.parts,
            kind=self.kind,
            priority=self.priority,
            valid_for=self.valid_for,
        )


@dataclass(frozen=True)
class Requested:
    """The message of each recipient."""

    messages: list[RequestedMessage]


_REQUESTED = models.of_dataclass(Requested)
_Writer = Annotated[Visit, require("write", in_organization=True)]


@router.post(
    "/messages",
    status_code=202,
    response_model=_REQUESTED,
    response_model_exclude_none=True,
    responses={
        200: {"model": _REQUESTED, "description": "An earlier call with this key wrote them"},
        **refusals(400, 401, 403, 404, 408, 409, 413, 422, 503),
    },
)
def ask_for_messages(
    site: Here, visit: _Writer, order: MessageOrder, raw: RawBody, response: Response
) -> Requested:
    """Writes messages, which leave as soon as a worker takes them; with a key, once."""
    now = site.now()
    to = [
        asked_of(one, order.channel, f"to[{place}].address", one.name)
        for place, one in enumerate(order.to)
    ]
    send_at = _send_at(order.send_at, now)
    _refuse_content(order)
    _refuse_large_variables(order)
    with site.engine.begin() as connection:
        organization_id = organization_of(connection, visit, order.organization)
    try:
        with site.engine.begin() as connection:
            found, is_new = request_messages(
                connection,
                MessageRequest(
                    organization_id=organization_id,
                    wanted=order.wanted,
                    variables=order.variables,
                    to=to,
                    idempotency_key=order.idempotency_key,
                    body_digest=digest(raw),
                    send_at=send_at,
                ),
                now=now,
            )
    except UnknownNameError as error:
        raise Refusal(404, str(error)) from None
    except KeyTakenError as error:
        raise Refusal(409, str(error)) from None
    response.status_code = 202 if is_new else 200
    return Requested(found)


@router.get(
    "/messages/{number}",
    response_model=models.of_dataclass(MessageStatus),
    responses=refusals(400, 401, 403, 404, 413, 422, 503),
)
def show_message(
    site: Here, visit: _Writer, number: Annotated[int, Path(ge=1, le=MAX_ID)]
) -> MessageStatus:
    """One message: state, attempts, reason, events."""
    with site.engine.begin() as connection:
        found = message_status(connection, number, own_organization(visit))
        if found is None:
            raise Refusal(404, f"There is no message {number} that this token may see.")
        organization_of(connection, visit, found.organization)
        return found


def _send_at(text: str | None, now: dt.datetime) -> dt.datetime | None:
    if text is None:
        return None
    at = dt.datetime.fromisoformat(text)
    if at > now + dt.timedelta(days=MAX_DAYS_AHEAD):
        raise Refusal(422, f"send_at: it is more than {MAX_DAYS_AHEAD} days ahead.")
    return at


def _refuse_content(order: MessageOrder) -> None:
    # Jinja2 is for calls with a content only.
    from marketing_pipelines.domains.delivery.rendering import problem_of

    if order.content is None:
        return
    parts = order.content.parts
    wrong = problem_of_parts(order.channel, parts)
    problem = problem_of(parts) if wrong is None else ": ".join(wrong)
    if problem is not None:
        raise Refusal(422, f"content.{problem}.")


def _refuse_large_variables(order: MessageOrder) -> None:
    if order.variables is None:
        return
    size = len(json.dumps(order.variables, ensure_ascii=False).encode())
    if size * len(order.to) > MAX_VARIABLES_BYTES:
        raise Refusal(
            422,
            f"variables: {size:,} bytes for each of {len(order.to):,} recipients are more than "
            f"{MAX_VARIABLES_BYTES:,} together: send shorter ones, or to fewer at once.",
        )
