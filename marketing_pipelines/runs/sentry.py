"""Reports final failures to Sentry if `MARKETING_SENTRY_DSN` is set."""

import functools
import logging
from collections.abc import Mapping
from typing import Any

from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import get_settings

SECONDS_TO_SEND = 3.0
_logger = logging.getLogger(__name__)


def report(error: BaseException, tags: Mapping[str, str], *, wait: bool = False) -> None:
    """Sends the error; nothing where no DSN is set, and never an error of its own.

    Args:
        wait: Until it is sent, in a process that may end right after it.
    """
    dsn = get_settings().sentry_dsn
    if dsn is None:
        return
    try:
        _send(dsn, error, tags)
        if wait:
            _flush()
    except Exception as problem:
        _logger.warning("Sentry did not take the report: %s", problem)


def finish() -> None:
    """Waits, at most 3 s, until the reports are sent; for a process that ends."""
    if get_settings().sentry_dsn is not None:
        _flush()


def _send(dsn: str, error: BaseException, tags: Mapping[str, str]) -> None:
    import sentry_sdk

    _start(dsn, get_settings().env)
    with sentry_sdk.new_scope() as scope:
        for name, value in tags.items():
            scope.set_tag(name, value)
        scope.capture_exception(error)


def _flush() -> None:
    import sentry_sdk

    sentry_sdk.flush(SECONDS_TO_SEND)


@functools.cache
def _start(dsn: str, environment: str) -> None:
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        default_integrations=False,
        include_local_variables=False,
        before_send=_without_secrets,
    )


def _without_secrets(event: Any, _hint: Any) -> Any:
    return redact(event)
