"""Templates of messages: the allowed syntax, and bounds on the work and text of one message.

Jinja2 parses and runs them. Operations whose result can outgrow their operands are refused when a
template is read; the rest is bounded while a message is filled in, by counts and not by time, so
that the same message ends the same way every time.
"""

import contextlib
import html
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

FILTERS = (
    "abs", "capitalize", "default", "escape", "first", "float", "int", "last", "length", "lower",
    "round", "striptags", "title", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
MAX_NESTING = 30
MAX_TOKENS = 20_000
MAX_CHARACTERS = 1_000_000
# Characters that the operations of one message may read: about a second.
MAX_WORK = 5_000_000
MAX_DIGITS = 20
# No calls, assignments or products: their results can be of any size.
_ALLOWED = {
    nodes.Add, nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Filter,
    nodes.For, nodes.Getattr, nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Name,
    nodes.Not, nodes.Operand, nodes.Or, nodes.Output, nodes.Slice, nodes.Sub, nodes.TemplateData,
    nodes.Test, nodes.Tuple,
}  # fmt: skip
_TAG = re.compile(r"<!--(?:(?!-->).)*+-->|<[^>]*+>", re.DOTALL)


class BoundError(jinja2.TemplateError):
    """A template that asks for more than one message gets."""


class Bounds:
    """The room of one message: all its templates share it."""

    def __init__(self) -> None:
        self._characters = MAX_CHARACTERS
        self._work = MAX_WORK

    def fill_in(self, source: str, fields: Mapping[str, Any], *, is_html: bool) -> str:
        """The text of a template for a contact.

        Raises:
            BoundError: it is too long, nested too deep, or asks for too much work.
            Exception: the template library's own.
        """
        pieces = []
        with _within(self):
            for piece in read(source, is_html=is_html).generate(fields):
                self._characters -= len(piece)
                if self._characters < 0:
                    raise BoundError(f"it is longer than {MAX_CHARACTERS:,} characters")
                pieces.append(piece)
        return "".join(pieces)

    def charge(self, value: Any) -> None:
        """Takes note of an operation that looks at all of a value."""
        self._work -= _size(value)
        if self._work < 0:
            raise BoundError("it takes too long")


@lru_cache(maxsize=500)
def read(source: str, *, is_html: bool) -> jinja2.Template:
    """The template of a text.

    Raises:
        BoundError: it is longer or nested deeper than templates may be.
        Exception: the template library's own, or a use of something that templates may not use.
    """
    environment = _environment(is_html)
    _check_length(environment, source)
    try:
        tree = environment.parse(source)
    except RecursionError:
        raise _too_deep() from None
    _check_nodes(tree)
    _charge_operations(tree)
    return environment.from_string(tree)


def _check_length(environment: jinja2.Environment, source: str) -> None:
    """Refuses brackets that would fill the parser's stack."""
    depth = 0
    for count, (_, kind, value) in enumerate(environment.lex(source)):
        if count >= MAX_TOKENS:
            raise BoundError(f"it is longer than {MAX_TOKENS:,} words and signs")
        if kind == "operator":
            depth += (value in "([{") - (value in ")]}")
            if depth > MAX_NESTING:
                raise _too_deep()


def _check_nodes(tree: nodes.Template) -> None:
    level: list[nodes.Node] = list(tree.iter_child_nodes())
    depth = 0
    while level:
        depth += 1
        if depth > MAX_NESTING:
            raise _too_deep()
        for node in level:
            if type(node) not in _ALLOWED:
                raise jinja2.TemplateSyntaxError(
                    f"a template cannot use {type(node).__name__.lower()}", node.lineno
                )
        level = [child for node in level for child in node.iter_child_nodes()]
    for loop in tree.find_all(nodes.For):
        if next(loop.find_all(nodes.For), None) is not None:
            raise jinja2.TemplateSyntaxError("a loop cannot stand in another", loop.lineno)
        if isinstance(loop.iter, nodes.Const):
            raise jinja2.TemplateSyntaxError(_no_list(loop.iter.value), loop.lineno)


def _too_deep() -> BoundError:
    return BoundError(f"it is nested deeper than {MAX_NESTING} levels")


def _charge_operations(tree: nodes.Template) -> None:
    """Wraps the operands of a template's operations, so that their work is bounded. Operands go
    through `_charge`, the lists of loops through `_require_list`.

    Naming a field, and a field of a field, costs nothing.
    """
    for node in list(tree.find_all(nodes.Node)):
        match node:
            case nodes.Add() | nodes.Sub():
                node.left, node.right = _charged(node.left), _charged(node.right)
            case nodes.Concat():
                node.nodes = [_charged(one) for one in node.nodes]
            case nodes.Compare() | nodes.Operand():
                node.expr = _charged(node.expr)
            case nodes.Keyword():
                node.value = _charged(node.value)
            case nodes.Filter() | nodes.Test():
                node.node = _charged(node.node)
                node.args = [_charged(one) for one in node.args]
            case nodes.Getitem(arg=nodes.Slice()):
                node.node = _charged(node.node)
            case nodes.For():
                node.iter = _through(" list", node.iter)


def _charged(node: Any) -> nodes.Filter:
    return _through(" charged", node)


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _require_list(value: Any) -> Any:
    if isinstance(value, list | jinja2.Undefined):
        return value
    if value is None:
        return []
    raise BoundError(_no_list(value))


def _no_list(value: Any) -> str:
    kinds = ((str, "text"), (dict, "objects"), (bool, "true and false"), (int | float, "numbers"))
    kind = next((name for types, name in kinds if isinstance(value, types)), "nothing")
    return f"a loop goes over lists, not over {kind}"


_bounds: ContextVar[Bounds | None] = ContextVar("bounds", default=None)


@contextlib.contextmanager
def _within(bounds: Bounds) -> Iterator[None]:
    token = _bounds.set(bounds)
    try:
        yield
    finally:
        _bounds.reset(token)


def _charge(value: Any) -> Any:
    bounds = _bounds.get()
    if bounds is not None:
        bounds.charge(value)
    return value


def _finish(value: Any) -> Any:
    """A value as it stands in the text; lists and objects are written out whole."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _charge(value)


def _size(value: Any) -> int:
    """Characters and values in a value."""
    if isinstance(value, str):
        return len(value) + 1
    if isinstance(value, dict):
        return sum(len(key) + _size(below) for key, below in value.items()) + 1
    if isinstance(value, list | tuple):
        return sum(map(_size, value)) + 1
    return 1


def _round(value: Any, precision: int = 0, method: Any = "common") -> Any:
    if not -MAX_DIGITS <= precision <= MAX_DIGITS:
        raise BoundError(f"round keeps at most {MAX_DIGITS} digits")
    return jinja2.filters.do_round(value, precision, method)


def _striptags(value: Any) -> str:
    """Text without tags and comments, in one pass; Jinja2's goes over the rest for each tag."""
    text = _TAG.sub("", str(value.__html__() if hasattr(value, "__html__") else value))
    return html.unescape(" ".join(text.split()))


@cache
def _environment(is_html: bool) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=is_html,
        undefined=jinja2.ChainableUndefined,
        finalize=_finish,
        keep_trailing_newline=True,
    )
    own = {"round": _round, "striptags": _striptags, " charged": _charge, " list": _require_list}
    environment.filters = {name: environment.filters[name] for name in FILTERS} | own
    environment.globals = {}
    return environment
