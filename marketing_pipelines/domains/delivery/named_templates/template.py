"""A template of messages, and the built-in ones, which are files of this package."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

# The texts of a template, by channel.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"email": ("subject", "text", "html"), "sms": ("text",), "push": ("title", "text")}
)


@dataclass(frozen=True)
class NamedTemplate:
    """A template.

    Attributes:
        content: Its texts, by part: subject, title, text, html; and `needs`, variables one of which
            must be given.
        category: External id; None: the organization's default category.
        sender: Sending domain, or an address of one; None: the organization's default domain.
        valid_for: Length of time; None: as the organization's settings say.
    """

    external_id: str
    channel: str
    kind: str
    content: Mapping[str, Any]
    category: str | None = None
    sender: str | None = None
    priority: int = 0
    valid_for: str | None = None


@cache
def built_in() -> Mapping[str, NamedTemplate]:
    """Returns the built-in templates, all of them mails, by their ids."""
    files = resources.files(__package__).joinpath("built_in").iterdir()
    found = {}
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.removesuffix(".toml")
        parts = tomllib.loads(file.read_text(encoding="utf-8"))
        kind = parts.pop("kind")
        found[name] = NamedTemplate(name, "email", kind, MappingProxyType(parts))
    return MappingProxyType(found)


def problem_of_template(template: NamedTemplate) -> str | None:
    """Returns why a template cannot be filled in for anybody; None: it can.

    `load` refuses such a template, but SQL may have changed it.
    """
    # Code that only names templates does not need Jinja2.
    from marketing_pipelines.domains.delivery.rendering import problem_of

    problem = problem_of(template.content)
    if problem is None:
        return None
    return f"'{template.external_id}' cannot be used, load it again: {problem}"


def problem_of_parts(channel: str, parts: Mapping[str, str | None]) -> tuple[str, str] | None:
    """Returns the wrong part of a template and the reason; None: its parts make a message."""
    own = PARTS[channel]
    for part, text in parts.items():
        if text is not None and part not in own:
            return part, f"has no place in a message of the channel {channel}: leave it empty"
    missing = missing_part(own, parts)
    return None if missing is None else (missing, "is missing")


def missing_part(own: Collection[str], given: Mapping[str, str | None]) -> str | None:
    """Returns the first part that a message lacks; a mail has text, HTML or both.

    Args:
        own: Parts of the messages of its channel.
    """
    for part in own:
        is_there = given.get(part) or (part == "text" and "html" in own and given.get("html"))
        if part != "html" and not is_there:
            return part
    return None
