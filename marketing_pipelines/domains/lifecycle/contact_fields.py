"""The columns of contacts that a step may set, with the values that each takes."""

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from marketing_pipelines.domains.crm.tables import LEAD_STATUSES
from marketing_pipelines.domains.segments import dates

FieldCheck = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "is a text"


def _integer(value: Any) -> str | None:
    if type(value) is int and -(2**31) <= value < 2**31:
        return None
    return "takes a whole number that PostgreSQL can hold"


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "takes true or false"


def _instant(value: Any) -> str | None:
    if isinstance(value, str) and dates.is_instant(value):
        return None
    return "takes an instant with its zone, such as 2026-03-01T09:00:00Z"


def _texts(value: Any) -> str | None:
    is_list = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    return None if is_list else "takes a list of texts"


def _status(value: Any) -> str | None:
    return None if value in LEAD_STATUSES else f"is one of {', '.join(LEAD_STATUSES)}"


# Any other name is an attribute.
SETTABLE: dict[str, FieldCheck] = {
    **dict.fromkeys(
        (
            "email",
            "phone",
            "first_name",
            "last_name",
            "lifecycle_stage",
            "lead_grade",
            "follow_up_note",
            "timezone",
        ),
        _text,
    ),
    "intent_score": _integer,
    "lead_status": _status,
    "manual_override": _boolean,
    "next_follow_up_at": _instant,
    "tags": _texts,
}
NEVER_SET = (
    "id",
    "organization_id",
    "external_id",
    "company_id",
    "owner_id",
    "created_at",
    "lead_score",
    "intent_band",
    "lead_status_at",
    "lifecycle_stage_at",
    "enriched_at",
    "enriched_fields",
)


def problem_of(name: str, value: Any) -> str | None:
    """Returns the reason why a step cannot set a field to a value; None: it can."""
    if name in NEVER_SET:
        return f"'{name}' cannot be set by a step"
    if value is None or name not in SETTABLE:
        return None
    problem = SETTABLE[name](value)
    if problem is None and name == "timezone" and value not in available_timezones():
        return f"'{value}' is not an IANA time zone"
    return None if problem is None else f"'{name}' {problem}"
