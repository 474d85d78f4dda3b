"""Errors as answers: JSON with one sentence, a page where a page was asked for."""

import logging
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from marketing_pipelines.api.launching import AlreadyRunningError
from marketing_pipelines.api.rendering import is_page, render
from marketing_pipelines.failures import (
    BadInputError,
    MarketingPipelinesError,
    StoreUnavailableError,
)
from marketing_pipelines.redaction import redact
from marketing_pipelines.running import UnknownJobError
from marketing_pipelines.runs import sentry

DATABASE_DOWN = "PostgreSQL does not answer: try again later, or ask `marketing-pipelines doctor`."
_logger = logging.getLogger(__name__)


class Error(BaseModel):
    """The reason for which a call was refused."""

    error: str = Field(description="One sentence that names what to change")


class Refusal(HTTPException):
    """An answer other than success, with its sentence."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, sentence, headers)


_SENTENCES = {
    404: "There is nothing at this address: `/openapi.json` lists what there is.",
    405: "This address does not take this method: `/openapi.json` says which it takes.",
}
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UnknownJobError, 404),
    (AlreadyRunningError, 409),
    (BadInputError, 422),
    (StoreUnavailableError, 503),
)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the refusals that an address may answer with, for its OpenAPI description."""
    return {status: {"model": Error} for status in statuses}


def answer(path: str, error: Exception) -> Response:
    """The answer to a request that ended in this error."""
    status, sentence = _status_and_sentence(error)
    sentence = redact(sentence)
    headers = dict(getattr(error, "headers", None) or {})
    if status >= 500:
        _logger.warning("%s: %s", path, sentence, exc_info=error if status == 500 else None)
    if status == 500:
        sentry.report(error, {"path": path})
    if is_page(path):
        page = render("refused.html", status=status, sentence=sentence)
        return HTMLResponse(page, status, headers)
    body = {"error": sentence}
    return JSONResponse(body, status, headers)


def _status_and_sentence(error: Exception) -> tuple[int, str]:
    if isinstance(error, Refusal):
        return error.status_code, error.detail
    if isinstance(error, HTTPException):
        return error.status_code, _SENTENCES.get(error.status_code, f"{error.detail}.")
    if isinstance(error, RequestValidationError):
        return 422, _fault(error.errors()[0])
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status, str(error)
    if _is_database_down(error):
        return 503, DATABASE_DOWN
    if isinstance(error, MarketingPipelinesError):
        return 500, str(error)
    return 500, "Something failed that should not: the log of `api` says what."


def _fault(error: dict[str, Any]) -> str:
    """The first fault of a call: a parameter, or the path of a field of the body."""
    place, *path = error["loc"]
    reason = error["msg"].removeprefix("Value error, ")
    if place != "body":
        return f"{path[-1]} cannot be used: {reason}."
    if error["type"] == "json_invalid" or not path:
        return f"The body cannot be used: {reason}."
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{''.join(parts).removeprefix('.')}: {reason}."


def _is_database_down(error: BaseException | None) -> bool:
    """Dagster's storage wraps the driver's error in its own."""
    while error is not None:
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def install(app: FastAPI) -> None:
    """Answers every error of the app's addresses."""

    async def handle(request: Request, error: Exception) -> Response:
        return answer(request.url.path, error)

    handled = (HTTPException, RequestValidationError, MarketingPipelinesError, sa.exc.DBAPIError)
    for kind in handled:
        app.add_exception_handler(kind, handle)
