"""The faults of a segment rule and their places; like `naive` from the specification alone.

A path names the smallest wrong thing: the key if one key is wrong, else the condition. Keys are
joined by dots, places in lists stand in brackets, the rule itself is the empty path.
"""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from marketing_pipelines_tests.segments.days import length, period
from marketing_pipelines_tests.segments.naive import (
    COLUMNS,
    MISSING,
    NUMBER_COLUMNS,
    World,
    find,
)

MAX_DEPTH = 32
TEXT, NUMBER, TRUTH = "text", "number", "true or false"
EVERY_TYPE = {TEXT, NUMBER, TRUTH}

ONE_VALUE = {
    "=": EVERY_TYPE,
    "!=": EVERY_TYPE,
    "contains": EVERY_TYPE,
    ">": {TEXT, NUMBER},
    ">=": {TEXT, NUMBER},
    "<": {TEXT, NUMBER},
    "<=": {TEXT, NUMBER},
    "like": {TEXT},
    "not_like": {TEXT},
    "starts_with": {TEXT},
    "ends_with": {TEXT},
    "matches": {TEXT},
}
LISTS = {"in", "not_in"}
PRESENCE = {"exists", "not_exists"}
DATES = {"before", "after", "on", "anniversary"}
LENGTHS = {"within_last", "within_next"}
OPERATORS = {*ONE_VALUE, *LISTS, *PRESENCE, *DATES, *LENGTHS, "between"}
NUMBER_OPERATORS = {"=", "!=", ">", ">=", "<", "<=", *LISTS, "between", *PRESENCE}
INSTANT_OPERATORS = {*DATES, *LENGTHS, "between", *PRESENCE}

GROUPS = {"all", "any", "not"}
KINDS = {
    "attribute": {"attribute", "op", "value"},
    "event": {"event", "op", "times", "within", "since", "until", "source", "where", "last"},
    "segment": {"segment"},
    "random": {"random"},
    **{group: {group} for group in GROUPS},
}
COUNT_OPERATORS = {"=", "!=", ">", ">=", "<", "<="}


class RuleError(Exception):
    """A rule that cannot be; `path` says where."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def known_names(world: World) -> set[str]:
    """Names of contacts' columns, keys and paths into objects."""
    found = {name for contact in world.contacts for name in names(contact.attributes)}
    return found.union(COLUMNS)


def names(values: Mapping[str, Any]) -> list[str]:
    """Every name by which something is found in an object."""
    # A value in an object under a key with a dot has no name: a path goes key by key.
    return [name for name in _paths(values) if find(values, name) is not MISSING]


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in _paths(value))


def check(rule: Any, world: World) -> None:
    """Looks a whole rule through.

    Raises:
        RuleError: something in it is wrong.
    """
    _Check(world, known_names(world)).rule(rule, "", 0)


class _Check:
    def __init__(self, world: World, names: Collection[str]) -> None:
        self._world = world
        self._names = names

    def rule(self, rule: Any, path: str, groups: int) -> None:
        _require(isinstance(rule, Mapping), path)
        kinds = [kind for kind in KINDS if kind in rule]
        _require(len(kinds) == 1, path)
        [kind] = kinds
        for key in rule:
            _require(key in KINDS[kind], _under(path, key))
        if kind in GROUPS:
            self._group(kind, rule[kind], path, groups + 1)
        elif kind == "segment":
            self._segment(rule["segment"], _under(path, "segment"))
        elif kind == "random":
            self._share(rule["random"], _under(path, "random"))
        elif kind == "event":
            self._event(rule, path)
        else:
            self._attribute(rule, path)

    def _group(self, kind: str, inner: Any, path: str, groups: int) -> None:
        _require(groups <= MAX_DEPTH, path)
        below = _under(path, kind)
        if kind == "not":
            self.rule(inner, below, groups)
            return
        _require(isinstance(inner, list), below)
        for place, each in enumerate(inner):
            self.rule(each, f"{below}[{place}]", groups)

    def _segment(self, name: Any, path: str) -> None:
        _require(isinstance(name, str | int) and not isinstance(name, bool), path)
        _require(str(name) in self._world.segments, path)

    def _share(self, share: Any, path: str) -> None:
        _require(isinstance(share, Mapping), path)
        for key in ("percent", "salt"):
            _require(key in share, path)
        for key in share:
            _require(key in ("percent", "salt"), _under(path, key))
        percent, salt = share["percent"], share["salt"]
        is_fit = _type(percent) == NUMBER and 0 <= percent <= 100 and percent * 100 % 1 == 0
        _require(is_fit, _under(path, "percent"))
        _require(isinstance(salt, str) and salt != "", _under(path, "salt"))

    def _attribute(self, rule: Mapping[str, Any], path: str) -> None:
        name = rule["attribute"]
        _require(isinstance(name, str) and name in self._names, _under(path, "attribute"))
        self._operator(rule, path)
        if name in NUMBER_COLUMNS:
            _require(rule["op"] in NUMBER_OPERATORS, _under(path, "op"))
            value = rule.get("value", 0)
            given = value if isinstance(value, list) else [value]
            _require({_type(each) for each in given} == {NUMBER}, _under(path, "value"))
        elif name == "created_at":
            _require(rule["op"] in INSTANT_OPERATORS, _under(path, "op"))
            if rule["op"] == "between":
                _require(isinstance(rule["value"][0], str), _under(path, "value"))

    def _operator(self, rule: Mapping[str, Any], path: str) -> None:
        _require("op" in rule, path)
        op = rule["op"]
        _require(isinstance(op, str) and op in OPERATORS, _under(path, "op"))
        if op in PRESENCE:
            _require("value" not in rule, _under(path, "value"))
        elif op != "anniversary" or "value" in rule:
            _require("value" in rule, path)
            _require(self._is_fit(op, rule["value"]), _under(path, "value"))

    def _is_fit(self, op: str, value: Any) -> bool:
        if op in LENGTHS:
            return isinstance(value, str) and length(value) is not None
        if op == "anniversary":
            found = self._period(value)
            return found is not None and found.days is not None
        if op in DATES:
            return self._period(value) is not None
        if op == "between":
            if not isinstance(value, list) or len(value) != 2:
                return False
            return {_type(each) for each in value} == {NUMBER} or all(
                self._period(each) is not None for each in value
            )
        if op in LISTS:
            types = {_type(each) for each in value} if isinstance(value, list) else set()
            return len(types) == 1 and types <= EVERY_TYPE
        return _type(value) in ONE_VALUE[op]

    def _period(self, value: Any) -> Any:
        return period(value, self._world.now, self._world.zone) if isinstance(value, str) else None

    def _event(self, rule: Mapping[str, Any], path: str) -> None:
        _require(isinstance(rule["event"], str), _under(path, "event"))
        if "last" in rule:
            for key in ("op", "times"):
                _require(key not in rule, _under(path, key))
        if "op" in rule:
            op = rule["op"]
            _require(isinstance(op, str) and op in COUNT_OPERATORS, _under(path, "op"))
        if "times" in rule:
            times = rule["times"]
            whole = isinstance(times, int) and not isinstance(times, bool) and times >= 0
            _require(whole, _under(path, "times"))
        if "within" in rule:
            _require(self._is_fit("within_last", rule["within"]), _under(path, "within"))
        for key in ("since", "until"):
            if key in rule:
                _require(self._period(rule[key]) is not None, _under(path, key))
        if "source" in rule:
            source = rule["source"]
            given = source if isinstance(source, list) else [source]
            _require(all(isinstance(each, str) for each in given), _under(path, "source"))
        for key in ("where", "last"):
            if key in rule:
                self._predicates(rule[key], _under(path, key))
        if not self._world.any_name:
            self._event_names(rule, path)

    def _event_names(self, rule: Mapping[str, Any], path: str) -> None:
        events = [event for each in self._world.events.values() for event in each]
        source = rule.get("source", [])
        for place, name in enumerate(source if isinstance(source, list) else [source]):
            here = f"source[{place}]" if isinstance(source, list) else "source"
            _require(name in {event.source for event in events}, _under(path, here))
        kind = rule["event"]
        ours = [
            event
            for event in events
            if event.event_type == kind
            or (kind.endswith("*") and event.event_type.startswith(kind[:-1]))
        ]
        known = {name for event in ours for name in _paths(event.properties or {})}
        for key in ("where", "last"):
            for place, predicate in enumerate(rule.get(key, [])):
                here = _under(path, f"{key}[{place}].property")
                _require(not ours or predicate["property"] in known, here)

    def _predicates(self, predicates: Any, path: str) -> None:
        _require(isinstance(predicates, list), path)
        for place, predicate in enumerate(predicates):
            here = f"{path}[{place}]"
            _require(isinstance(predicate, Mapping) and "property" in predicate, here)
            for key in predicate:
                _require(key in ("property", "op", "value"), _under(here, key))
            _require(isinstance(predicate["property"], str), _under(here, "property"))
            self._operator(predicate, here)


def _paths(document: Mapping[str, Any]) -> Iterator[str]:
    """Keys, and dotted paths into objects."""
    for key, value in document.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{below}" for below in _paths(value))


def _type(value: Any) -> str | None:
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int | Decimal):
        return NUMBER
    return TEXT if isinstance(value, str) else None


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _require(right: bool, path: str) -> None:
    if not right:
        raise RuleError(path)
