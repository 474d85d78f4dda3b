"""What a message says to its contact: `{{ first_name }}` becomes the contact's own.

A template names fields, with a few filters, conditions and one level of loops. Whatever else
Jinja2 can do is refused, so that no organization's template keeps a worker busy or fills its
memory.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from marketing_pipelines.failures import PermanentError

FILTERS = (
    "abs", "capitalize", "default", "escape", "first", "float", "int", "last", "length", "lower",
    "round", "striptags", "title", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
# No calls, assignments or products: their results can be of any size.
_ALLOWED = {
    nodes.Add, nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Filter,
    nodes.For, nodes.Getattr, nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Name,
    nodes.Not, nodes.Operand, nodes.Or, nodes.Output, nodes.Slice, nodes.Sub, nodes.TemplateData,
    nodes.Test, nodes.Tuple,
}  # fmt: skip


class MessageError(PermanentError):
    """This message cannot be sent, now or later; the others of its channel can."""


@dataclass(frozen=True)
class Rendered:
    """A message as it goes out.

    Attributes:
        id: The message's number: the same each time it is sent.
        organization: Name of the organization that sends it.
        recipient: E-mail address, phone number, push token or URL.
        name: Name of the contact; empty where it is not known.
        content: What the step says, by its own keys, filled in.
    """

    id: int
    organization_id: int
    organization: str
    channel: str
    queued_at: dt.datetime
    recipient: str
    name: str
    content: Mapping[str, Any]


def fill_in(channel: str, content: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The content for a contact.

    Args:
        content: A step's object, as `lifecycle.steps` describes it.
        fields: What is known of the contact; a field that is not there is empty.

    Raises:
        MessageError: a template cannot be filled in; it says which and why.
    """
    if channel == "webhook":
        body = content.get("body")
        return {
            "url": content["url"],
            "body": {"contact": dict(fields)} if body is None else _deep("body", body, fields),
        }
    return {
        part: _text(part, source, fields)
        for part in ("subject", "title", "text", "html")
        if (source := content.get(part)) is not None
    }


def problem_of(content: Mapping[str, Any]) -> str | None:
    """What is wrong with the templates of a step's object for any contact; None: nothing."""
    for part, source in _sources("", content):
        try:
            _template(source, part == "html")
        except jinja2.TemplateError as error:
            return f"{part}: {str(error).partition(chr(10))[0].rstrip('.')}"
    return None


def _sources(part: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and part not in ("url", "next"):
        yield part, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _sources(f"{part}.{key}" if part else key, below)
    elif isinstance(value, list):
        for below in value:
            yield from _sources(part, below)


def _deep(part: str, value: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return _text(part, value, fields)
    if isinstance(value, dict):
        return {key: _deep(f"{part}.{key}", below, fields) for key, below in value.items()}
    if isinstance(value, list):
        return [_deep(part, below, fields) for below in value]
    return value


def _text(part: str, source: str, fields: Mapping[str, Any]) -> str:
    try:
        return _template(source, part == "html").render(fields)
    # A template is the organization's own text: whatever it does is a failure of this message.
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise MessageError(f"Its {part} cannot be filled in: {reason}.") from error


@lru_cache(maxsize=500)
def _template(source: str, is_html: bool) -> jinja2.Template:
    environment = _environment(is_html)
    tree = environment.parse(source)
    for node in tree.find_all(nodes.Node):
        if type(node) not in _ALLOWED:
            raise jinja2.TemplateSyntaxError(
                f"a template cannot use {type(node).__name__.lower()}", node.lineno
            )
    for loop in tree.find_all(nodes.For):
        if next(loop.find_all(nodes.For), None) is not None:
            raise jinja2.TemplateSyntaxError("a loop cannot stand in another", loop.lineno)
    return environment.from_string(tree)


@cache
def _environment(is_html: bool) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=is_html,
        undefined=jinja2.ChainableUndefined,
        finalize=lambda value: "" if value is None else value,
        keep_trailing_newline=True,
    )
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.globals = {}
    return environment
