"""Forms of the pages: read, and refused where another site sent them."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from marketing_pipelines.api.admission import Visit
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.hosts import is_own_origin
from marketing_pipelines.api.site import Site

FORM_KEY = "form_key"


async def _read(request: Request) -> dict[str, str]:
    """The fields of a form; of one that comes twice the last."""
    try:
        text = (await request.body()).decode("ascii")
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20, errors="strict"))
    except ValueError:
        raise Refusal(400, "This is no form of ours: send it from its page.") from None
    if any("\0" in value for value in fields.values()):
        raise Refusal(400, "A field cannot contain the character NUL: leave it out.")
    return fields


Fields = Annotated[dict[str, str], Depends(_read)]


def refuse_foreign_origin(request: Request, site: Site) -> None:
    """Refuses a form that a browser says came from another site."""
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if origin is not None and not is_own_origin(origin, host, site.settings.public_origins):
        raise Refusal(403, "This form came from another site: send it from its own page.")


def refuse_foreign_form(request: Request, site: Site, visit: Visit, fields: dict[str, str]) -> None:
    """Refuses a form that was not made for this sign-in."""
    refuse_foreign_origin(request, site)
    key = fields.get(FORM_KEY, "")
    if visit.sign_in is None or not site.signer.is_from(visit.sign_in, key):
        raise Refusal(403, "This form is not of this sign-in: load its page again.")
