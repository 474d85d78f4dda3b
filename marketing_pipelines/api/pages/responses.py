"""A page for a signed-in user, and the way back to it from a form."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends
from fastapi.responses import HTMLResponse, RedirectResponse

from marketing_pipelines.api.admission import Visit, signed_in
from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.rendering import render
from marketing_pipelines.api.site import Site
from marketing_pipelines.api.tokens import SCOPES

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
SignedInReader = Annotated[Visit, Depends(signed_in("read"))]
Anyone = Annotated[Visit, Depends(signed_in())]


def page(site: Site, visit: Visit, template: str, **values: Any) -> HTMLResponse:
    """A page for a signed-in user."""
    if visit.token is None or visit.sign_in is None:
        raise Refusal(401, "Sign in first.")
    text = render(
        template,
        name=visit.token.name,
        may={scope: visit.token.allows(scope) for scope in SCOPES},
        form_key=site.signer.form_key(visit.sign_in),
        now=site.now(),
        **values,
    )
    return HTMLResponse(text, headers=HEADERS)


def back(path: str, said: str) -> RedirectResponse:
    """Redirects to the form's page, with the result."""
    return RedirectResponse(f"{path}?{urlencode({'said': said})}", 303)
