"""The credentials in an installation's settings, told apart from the words around them.

A credential is the whole of a setting named as one, or a part of a URL: its password, a query value
named as a secret, and in `MARKETING_ALERT_URLS` every part that apprise keeps private or that looks
random. Host names, path words and addresses are not credentials.
"""

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from marketing_pipelines import addresses
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

HIDDEN = "…"
CREDENTIAL_NAMES = (
    r"password | passwd | pwd | secret | token | authorization | (?: api|access ) [_-]? key"
)
_SECRET_SETTING = re.compile(r"secret|password|token|key")
_SECRET_QUERY = re.compile(
    rf"(?ix) {CREDENTIAL_NAMES} | ^(?: key | pass | sig | signature | auth )$"
)
# These stand in texts that have nothing to do with the credential of the same spelling.
_ORDINARY = re.compile(r"[A-Za-z]{1,15}|\d{1,11}|.{1,5}", re.DOTALL)
_WORD = r"(?: [A-Z]?[a-z]{2,} (?:[A-Z][a-z]{2,})*+ | [A-Z]+ | [a-z] ) \d{0,4} | \d+"
_WORDS = re.compile(rf"(?x) (?:{_WORD}) (?: [^A-Za-z0-9]+ (?:{_WORD}) )*+ [^A-Za-z0-9]*")
_hidden: frozenset[str] = frozenset()
MIN_RANDOM_LENGTH = 8
MAX_WORD_LENGTH = 20
_BETWEEN_PARTS = re.compile(r"([/?&@=:,]+)")


@cache
def of_settings(settings: Settings) -> tuple[str, ...]:
    """The credentials of every setting but the alert URLs, longest first, ordinary words left out.

    A credential that is spelled like an ordinary word is hidden only where it stands as one:
    between `user:` and `@`, or after its name.
    """
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, str) or name == "alert_urls":
            continue
        if "://" in value:
            found |= set(_of_url(value))
        elif _SECRET_SETTING.search(name):
            found |= {value, *(one.strip() for one in value.split(","))}
    return _longest_first(found)


def hide(secrets: Iterable[str]) -> None:
    """Adds secrets that come from elsewhere, such as the database, to those of this process."""
    global _hidden
    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    _hidden |= {form for form in forms if not _ORDINARY.fullmatch(form)}


def hidden() -> tuple[str, ...]:
    """The secrets that `hide` was given, longest first."""
    return _longest_first(set(_hidden))


@cache
def may_be_told(alert_urls: str) -> tuple[str, ...]:
    """The addresses and the parts of them that may be credentials; apprise is not used."""
    urls = {address.url for address in _addresses(alert_urls)}
    parts = {form for url in urls for part in _parts(url) for form in (part, unquote(part))}
    return _longest_first(urls | parts)


@cache
def of_alert_urls(alert_urls: str) -> dict[str, str]:
    """The text that hides each alert address, and each credential in one, longest first."""
    hidden: dict[str, str] = {}
    for address in _addresses(alert_urls):
        secrets = _of_address(address.url)
        hidden |= dict.fromkeys(_longest_first(secrets), HIDDEN)
        hidden[address.url] = _without(address.url, secrets)
    return dict(sorted(hidden.items(), key=lambda item: (-len(item[0]), item[0])))


def _addresses(alert_urls: str) -> list[addresses.Address]:
    try:
        return addresses.read(alert_urls)
    except ConfigurationError:
        # Its parts cannot be distinguished.
        return [addresses.Address(None, alert_urls)]


def _longest_first(found: set[str]) -> tuple[str, ...]:
    """No part of a longer one is left over when they are replaced in this order."""
    alone = {secret for secret in found if not _ORDINARY.fullmatch(secret)}
    return tuple(sorted(alone, key=lambda secret: (-len(secret), secret)))


def _of_url(url: str) -> Iterator[str]:
    """The password, or the lone user of a web address, and values named as secrets.

    Values stand in the query, or, as Spark Connect writes them, in the path (`/;token=…`).
    """
    parts = urlsplit(url)
    lone_user = parts.username if parts.scheme in ("http", "https") else None
    for secret in (parts.password or lone_user,):
        if secret:
            yield from (secret, unquote(secret))
    in_path = parse_qsl(parts.path.partition(";")[2], separator=";")
    for name, value in (*parse_qsl(parts.query), *in_path):
        if _SECRET_QUERY.search(name):
            yield value


def _of_address(url: str) -> set[str]:
    """The credentials of an alert address."""
    found = {*_of_url(url), *_private_to_apprise(url)}
    found |= {part for part in _parts(url) if _looks_random(part)}
    return {form for secret in found if secret for form in (secret, unquote(secret))}


def _private_to_apprise(url: str) -> Iterator[str]:
    """The parts that apprise leaves out of an address that it prints; all of one unknown to it."""
    import apprise

    with _apprise_silent():
        receiver = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if not isinstance(receiver, apprise.NotifyBase):
        yield from _parts(url)
        return
    address: Any = receiver  # its methods have no types
    yield from _differing(address.url(privacy=False), address.url(privacy=True), "/?&@", "=:")


@contextlib.contextmanager
def _apprise_silent() -> Iterator[None]:
    """Silences apprise while an address is read. Redaction of its log messages about the address
    would ask apprise again."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _differing(whole: str, masked: str, *separators: str) -> Iterator[str]:
    """The parts of the text that the other text masks."""
    if whole == masked:
        return
    if separators:
        pattern = f"[{re.escape(separators[0])}]"
        wholes, maskeds = re.split(pattern, whole), re.split(pattern, masked)
        if len(wholes) == len(maskeds):
            for one, other in zip(wholes, maskeds, strict=True):
                yield from _differing(one, other, *separators[1:])
            return
    yield whole


def _parts(url: str) -> list[str]:
    return [part for part in _BETWEEN_PARTS.split(url.partition("://")[2])[::2] if part]


def _looks_random(part: str) -> bool:
    """Returns true if the part is neither words with separators nor a number."""
    text = unquote(part)
    if len(text) < MIN_RANDOM_LENGTH:
        return False
    longest = max((len(word) for word in re.findall("[A-Za-z]+", text)), default=0)
    return longest > MAX_WORD_LENGTH or not _WORDS.fullmatch(text.strip("#+.-_~"))


def _without(url: str, secrets: set[str]) -> str:
    scheme, _, rest = url.partition("://")
    for secret in _longest_first(secrets):
        rest = rest.replace(secret, HIDDEN)
    parts = _BETWEEN_PARTS.split(rest)
    return f"{scheme}://{''.join(HIDDEN if part in secrets else part for part in parts)}"
