"""Names in conditions on events: campaigns, types of events and their properties.

A campaign or property that the organization does not have is an error, because with `times: 0` it
would match every contact. A type that was never received may come later: it is a note.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from marketing_pipelines.domains.segments.rule_errors import MissingNameError, join, similar
from marketing_pipelines.domains.segments.rules import EventCondition, predicates, walk

# The properties of a type that the database collects; of a type with more, any name is allowed.
MAX_FIELDS = 500
_MAX_NAMED = 5

# Properties that events have or had, by type; the empty name stands for the type itself.
EventFields = Mapping[str, frozenset[str]]


def require_names(
    condition: EventCondition, fields: EventFields, campaigns: Mapping[str, int], path: str
) -> None:
    """Refuses a condition that names a campaign or property that the organization does not have.

    Args:
        campaigns: The organization's, by external id.
        path: Path of the condition in its rule.

    Raises:
        MissingNameError: with the path of the name.
    """
    for place, name in enumerate(condition.sources or []):
        if name not in campaigns:
            key = f"source[{place}]" if isinstance(condition.source, list) else "source"
            raise MissingNameError(
                join(path, key), f"there is no campaign '{name}'{similar(name, campaigns)}"
            )
    received = [fields[name] for name in _received(condition, fields)]
    if not received or any(len(known) > MAX_FIELDS for known in received):
        return
    known = frozenset[str]().union(*received)
    for predicate, key in predicates(condition):
        if predicate.property not in known:
            raise MissingNameError(
                join(path, f"{key}.property"),
                f"no event of type '{condition.event}' has or has had '{predicate.property}'"
                f"{similar(predicate.property, known)}",
            )


def notes(rule: Any, fields: EventFields) -> Iterator[str]:
    """One sentence for each condition on events of a type that was never received."""
    for condition, path, _ in walk(rule):
        if isinstance(condition, EventCondition) and not _received(condition, fields):
            yield (
                f"{join(path, 'event')}: no event of type '{condition.event}' was ever received; "
                f"{_known(condition.event, sorted(fields))}."
            )


def _received(condition: EventCondition, fields: EventFields) -> list[str]:
    """The types that a condition means, as far as events of them were received."""
    prefix = condition.prefix
    if prefix is None:
        return [condition.event] if condition.event in fields else []
    return [name for name in fields if name.startswith(prefix)]


def _known(name: str, types: list[str]) -> str:
    if not types:
        return "there are no events at all"
    alike = difflib.get_close_matches(name.removesuffix("*"), types, _MAX_NAMED)
    named = alike or types[:_MAX_NAMED]
    return f"known: {', '.join(named)}{', …' if len(named) < len(types) else ''}"
