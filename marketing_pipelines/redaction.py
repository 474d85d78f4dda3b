"""Secrets are taken out of every text that leaves a process: logs, sessions, errors, metadata.

So are the values of rows that PostgreSQL quotes in errors: they may be data of persons, and Dagster
keeps errors.
"""

import re
from collections.abc import Mapping
from typing import Any

from marketing_pipelines import credentials
from marketing_pipelines.credentials import CREDENTIAL_NAMES, HIDDEN
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import get_settings

_USER_INFO = re.compile(r"(?<=://)([^/\s:@'\"]*):[^/\s@'\"]*@")
_VALUES = re.compile(
    r"""(?xm)
    (?P<before>
        Failing\ row\ contains\ \( | \bKey\ \([^()]*(?:\([^()]*\)[^()]*)*\)=\(
        | \bCOPY\ \w+,\ line\ \d+ (?: ,\ column\ \w+ )? :\ "
    )
    .*?
    (?P<after> \)(?=\.?$ | \ already\ exists | \ is\ | \ conflicts\ ) | "$ )"""
)
_NAMED = re.compile(
    rf"""(?ix)
    (?P<name>
        (?: {CREDENTIAL_NAMES} )
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
    for secret, shown in _secrets_in(text).items():
        text = text.replace(secret, shown)
    text = _VALUES.sub(rf"\g<before>{HIDDEN}\g<after>", text)
    text = _USER_INFO.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\g<name>\g<between>{HIDDEN}", text)


def _secrets_in(text: str) -> dict[str, str]:
    """The secrets in the text, each with its replacement."""
    try:
        settings = get_settings()
    except ConfigurationError:
        return dict.fromkeys(credentials.hidden(), HIDDEN)
    secrets = (*credentials.hidden(), *credentials.of_settings(settings))
    found = dict.fromkeys(secrets, HIDDEN)
    alert_urls = settings.alert_urls or ""
    # Asking apprise takes half a second, and hardly any text has a part of an alert address in it.
    if any(part in text for part in credentials.may_be_told(alert_urls)):
        return credentials.of_alert_urls(alert_urls) | found
    return found
