"""Addresses of provider webhooks; a valid signature admits a call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from marketing_pipelines.api.answers import Refusal, refusals
from marketing_pipelines.api.site import Here
from marketing_pipelines.domains.delivery.links import public_base
from marketing_pipelines.failures import ConfigurationError, RetryableError

# More than any other address takes: providers send events in batches.
MAX_BODY_BYTES = 5_000_000
HOOKS = "/hooks"
router = APIRouter(prefix=HOOKS, tags=["hooks"])
ProviderName = Annotated[
    str,
    Path(
        max_length=20,
        description="sendgrid, mailgun, postmark, ses, mandrill, twilio or generic",
        examples=["sendgrid"],
    ),
]


class Received(BaseModel):
    """The call is stored, and its events have taken effect."""

    events: int = Field(description="Events that were not known before")


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("/{provider}", responses=refusals(400, 401, 404, 408, 413, 429, 503))
def receive(
    provider: ProviderName,
    request: Request,
    site: Here,
    body: Annotated[bytes, Depends(_body)],
) -> Received:
    """Takes the events of a provider, signed as it signs them."""
    # The libraries of signatures are for these calls only.
    from marketing_pipelines.domains.delivery.hooks import receiving
    from marketing_pipelines.domains.delivery.hooks.calls import HookCall

    _require_known(provider)
    query = request.url.query
    base = public_base(site.settings)
    call = HookCall(
        received_at=site.now(),
        url=None if base is None else f"{base}{HOOKS}/{provider}{'?' if query else ''}{query}",
        query=query,
        headers=dict(request.headers),
        body=body,
        transport=site.transport,
    )
    with _refusing():
        return Received(events=receiving.receive(site.engine, provider, call, site.settings))


@router.head("/{provider}", include_in_schema=False)
def look(provider: ProviderName) -> Response:
    """Answers that the address is there, as Mandrill asks before it has a key."""
    _require_known(provider)
    return Response()


def _require_known(provider: str) -> None:
    from marketing_pipelines.domains.delivery.hooks.receiving import PROVIDERS

    if provider not in PROVIDERS:
        raise Refusal(404, f"There is no such provider: use {', '.join(PROVIDERS)}.")


@contextmanager
def _refusing() -> Iterator[None]:
    from marketing_pipelines.domains.delivery.hooks import calls

    try:
        yield
    except calls.ForgedCallError as error:
        raise Refusal(401, str(error)) from None
    except calls.UnreadableCallError as error:
        raise Refusal(400, str(error)) from None
    except calls.TooManyElementsError as error:
        raise Refusal(413, str(error)) from None
    except (ConfigurationError, RetryableError) as error:
        raise Refusal(503, str(error)) from None
