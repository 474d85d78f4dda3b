"""Signing in and out, of the pages and of the Dagster UI."""

from importlib import resources

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from marketing_pipelines.api import audit, tokens, user_sessions
from marketing_pipelines.api.admission import OF_ONE_ORGANIZATION, Visit
from marketing_pipelines.api.pages.forms import Fields, refuse_foreign_form, refuse_foreign_origin
from marketing_pipelines.api.pages.responses import HEADERS, Anyone, page
from marketing_pipelines.api.rendering import SIGN_IN, SIGN_OUT, STYLE, render
from marketing_pipelines.api.site import Here
from marketing_pipelines.api.user_sessions import VALID_FOR

router = APIRouter(include_in_schema=False)


@router.get(STYLE)
def style() -> Response:
    """The one style sheet."""
    text = resources.files("marketing_pipelines.api.pages").joinpath("admin.css").read_text()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})


@router.get(SIGN_IN)
def sign_in_form() -> HTMLResponse:
    """Asks for a token."""
    return HTMLResponse(render("sign_in.html", problem=None), headers=HEADERS)


@router.post(SIGN_IN)
def sign_in(request: Request, site: Here, fields: Fields) -> Response:
    """Exchanges a token for a cookie."""
    refuse_foreign_origin(request, site)
    with site.engine.begin() as connection:
        token = tokens.verify(connection, fields.get("token", "").strip())
        may_enter = token is not None and token.organization_id is None
        if token is not None and may_enter:
            visit: Visit = request.state.visit
            entry = visit.entry
            if visit.is_one_of_many:
                entry = audit.note_signing_in(connection, entry, at=site.now(), path=SIGN_IN)
            audit.identified(connection, entry, actor=token.name, token_id=token.id)
            number = user_sessions.begin(connection, token.id, site.now())
            cookie = site.signer.write(number, token.id, site.now())
    if not may_enter:
        problem = "This is no valid token." if token is None else OF_ONE_ORGANIZATION
        page = render("sign_in.html", problem=problem)
        return HTMLResponse(page, 401, HEADERS)
    response = RedirectResponse(site.front.home, 303)
    response.set_cookie(
        site.front.cookie,
        cookie,
        max_age=int(VALID_FOR.total_seconds()),
        path=site.front.home,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.get(SIGN_OUT)
def sign_out_form(site: Here, visit: Anyone) -> HTMLResponse:
    """Asks whether to sign out, for the Dagster UI, which has no button for it."""
    return page(site, visit, "sign_out.html")


@router.post(SIGN_OUT)
def sign_out(request: Request, site: Here, visit: Anyone, fields: Fields) -> Response:
    """Ends the sign-in and takes the cookie away."""
    refuse_foreign_form(request, site, visit, fields)
    if visit.sign_in is not None:
        with site.engine.begin() as connection:
            user_sessions.end(connection, visit.sign_in.id)
    response = RedirectResponse(SIGN_IN, 303)
    response.delete_cookie(site.front.cookie, path=site.front.home)
    return response
