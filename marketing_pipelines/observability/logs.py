"""Structured logs on stderr: JSON lines, text for people on a terminal, secrets taken out.

Modules use `logging`; values that are bound around them (`structlog.contextvars`: job, tick, run,
session, item, organization) are in every line.
"""

import functools
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import get_settings

NAME = "marketing_pipelines"
OURS = f"{NAME}.logs"
# Libraries whose troubles are ours; Procrastinate logs payloads below errors.
OTHERS = {"apprise": "WARNING", "procrastinate": "ERROR"}


def configure(unless_set: str = "warning") -> None:
    """Sends the logs of this package to stderr; a second call changes nothing but the level.

    Args:
        unless_set: The level where `MARKETING_LOG_LEVEL` is not set.
    """
    settings = get_settings()
    level = settings.log_level if "log_level" in settings.model_fields_set else unless_set
    handler = _Stderr()
    handler.name = OURS
    handler.setFormatter(_WhenNeeded())
    for name, least in {NAME: level.upper(), **OTHERS}.items():
        logger = logging.getLogger(name)
        logger.setLevel(least)
        if all(known.name != OURS for known in logger.handlers):
            logger.addHandler(handler)
        logger.propagate = False


class _Stderr(logging.StreamHandler[Any]):
    """Writes to the current stderr of each line; a run replaces stderr while it works."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _value: Any) -> None:
        """It is always the current one."""


class _WhenNeeded(logging.Formatter):
    """Imports structlog, and Rich with it, for the first line: most processes never log one."""

    @functools.cached_property
    def _formatter(self) -> logging.Formatter:
        return _make_formatter()

    def format(self, record: logging.LogRecord) -> str:
        return self._formatter.format(record)


def _make_formatter() -> logging.Formatter:
    import structlog

    # Tracebacks are texts before secrets are taken out; pretty ones would print local variables.
    render: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_secrets,
            render,
        ],
    )


def _without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    clean: MutableMapping[str, Any] = redact(event)
    return clean
