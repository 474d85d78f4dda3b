"""Secrets are taken out of every text that leaves a process: logs, sessions, errors, metadata."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings, get_settings

HIDDEN = "…"
# Shorter pieces of a URL are words, not secrets, and would blank out half the text.
SHORTEST = 6
SHORTEST_PASSWORD = 4
_SECRET_SETTING = re.compile(r"secret|password|token|dsn|key|alert_urls")
_USER_INFO = re.compile(r"(?<=://)([^/\s:@'\"]*):[^/\s@'\"]*@")
_NAMED = re.compile(
    r"""(?ix)
    (?P<name>
        (?: password | passwd | pwd | secret | token | authorization | (?: api|access ) [_-]? key )
        (?: [_-] [\w-]*+ )?
    )
    (?P<between> ["']? \s* [=:] \s* ["']? (?: (?: bearer | basic | token ) \s+ )? )
    (?P<value> [^\s"',;&)]+ )"""
)


def redact(value: Any) -> Any:
    """The same text without secrets; in lists and mappings every text below."""
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, Mapping):
        return {key: redact(item) for key, item in value.items()}
    # Dagster's metadata values are tuples too, of a kind that cannot be iterated.
    if type(value) in (list, tuple):
        return [redact(item) for item in value]
    return value


def redacted_error(error: BaseException) -> BaseException:
    """The error itself; in place of one whose traceback tells a secret, that traceback without it.

    Dagster stores the whole chain of causes.
    """
    import traceback

    text = "".join(traceback.format_exception(error))
    clean = redact(text)
    return error if clean == text else RuntimeError(clean)


def _without_secrets(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    text = _USER_INFO.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\g<name>\g<between>{HIDDEN}", text)


def _secrets() -> tuple[str, ...]:
    try:
        return _secrets_of(get_settings())
    except ConfigurationError:
        return ()


@cache
def _secrets_of(settings: Settings) -> tuple[str, ...]:
    """What must not be told, longest first, so that no part of one is left over."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, str):
            continue
        if _SECRET_SETTING.search(name):
            found |= set(_pieces(value))
        elif "://" in value:
            found |= set(_passwords(value))
    return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


def _passwords(url: str) -> Iterator[str]:
    password = urlsplit(url).password
    if password and len(password) >= SHORTEST_PASSWORD:
        yield from {password, unquote(password)}


def _pieces(value: str) -> Iterator[str]:
    """A secret as a whole; of URLs, everything in them that a receiver takes for one."""
    if "://" not in value:
        if value:
            yield value
        return
    for url in value.split(","):
        _, _, rest = url.partition("://")
        yield rest.strip()
        host = urlsplit(url).hostname or ""
        for piece in re.split(r"[/:@?&=,\s]+", rest):
            if len(piece) >= SHORTEST and host not in (piece, piece.lower()):
                yield from {piece, unquote(piece)}
