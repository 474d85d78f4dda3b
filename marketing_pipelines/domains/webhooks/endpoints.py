"""Endpoints: added, listed, rotated, disabled and enabled."""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.domains.segments.rule_errors import similar
from marketing_pipelines.domains.webhooks import disabling, signing, tasks
from marketing_pipelines.domains.webhooks.addresses import check_url
from marketing_pipelines.domains.webhooks.publishing import OPERATIONS, REACHED
from marketing_pipelines.domains.webhooks.standing import UnknownEndpointError
from marketing_pipelines.domains.webhooks.tables import deliveries, endpoints
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.queueing.event_catalog import event_types
from marketing_pipelines.settings import Settings

MAX_PATTERNS = 50
MAX_ENDPOINTS = 50
# Of each state; a list of endpoints takes no longer when more deliveries wait.
MAX_COUNTED = 1_000
# Each part is a name or a star: with stars anywhere, a match could take for ever.
_PATTERN = re.compile(r"(?=.{1,100}$)(\*|[a-z0-9_]+)(\.(\*|[a-z0-9_]+)){0,3}")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as lists show it.

    Attributes:
        id: Endpoint number.
        organization: External id; null: the operator's.
        event_types: Patterns of types; empty: all types.
        state: active, failing or disabled.
        failures: Failed attempts since the latest success.
        failing_since: First attempt without success since the latest success.
        next_attempt_at: No attempt before this.
        error: The reason of the latest failure.
        last_ok_at: Latest success.
        waiting: Deliveries that are not done; 1,000 stands for so many or more.
        failed: Deliveries that were given up; 1,000 stands for so many or more.
    """

    id: int
    organization: str | None
    url: str
    event_types: list[str]
    state: str
    failures: int
    failing_since: dt.datetime | None
    next_attempt_at: dt.datetime | None
    error: str | None
    last_ok_at: dt.datetime | None
    created_at: dt.datetime
    waiting: int
    failed: int


@dataclass(frozen=True)
class EndpointSecret:
    """The secret of an endpoint, which no other answer shows.

    Attributes:
        id: Endpoint number.
        secret: Key of its signatures.
        notes: A sentence for each pattern that fits no known type.
    """

    id: int
    secret: str
    notes: list[str]


def add(
    connection: sa.Connection,
    settings: Settings,
    organization_id: int | None,
    url: str,
    patterns: Iterable[str],
    now: dt.datetime,
) -> tuple[int, str]:
    """Stores an endpoint.

    Args:
        organization_id: None: the operator's.
        patterns: Of types of events, such as `deal.*`; none = all types.

    Returns:
        Its number, and its secret, which is shown this once.

    Raises:
        RefusedAddressError: no webhook may go to the URL.
        BadInputError: a pattern cannot be one, or the organization has 50 endpoints.
        ConfigurationError: there is no key to encrypt the secret with.
    """
    check_url(url, settings.webhook_hosts)
    types = _checked(patterns)
    _require_room(connection, organization_id)
    secret = signing.new_secret()
    values = {
        "organization_id": organization_id,
        "url": url,
        "event_types": types,
        "secret": signing.encrypted(settings, secret),
        "created_at": now,
    }
    number = connection.execute(
        sa.insert(endpoints).values(values).returning(endpoints.c.id)
    ).scalar_one()
    return number, secret


def unknown_types(patterns: Iterable[str]) -> list[str]:
    """A note for each pattern that fits no known type, once every `events.py` is loaded."""
    known = sorted([*event_types(), *OPERATIONS, REACHED])
    return [
        f"'{pattern}' fits no type of events that is known now; these are {', '.join(known)}"
        f"{similar(pattern, known)}."
        for pattern in patterns
        if not any(_regex(pattern).fullmatch(name) for name in known)
    ]


def rotate(
    connection: sa.Connection, settings: Settings, endpoint_id: int, now: dt.datetime
) -> str:
    """Makes a new secret; the present one signs, too, for 24 hours.

    Returns:
        The new secret, which is shown this once.

    Raises:
        UnknownEndpointError: there is none.
        ConfigurationError: there is no key to encrypt it with.
    """
    secret = signing.new_secret()
    values = {
        "old_secret": sa.func.nullif(endpoints.c.secret, ""),
        "old_secret_until": sa.case((endpoints.c.secret != "", now + signing.OLD_SECRET_FOR)),
        "secret": signing.encrypted(settings, secret),
    }
    _update(connection, endpoint_id, values)
    return secret


def disable(connection: sa.Connection, endpoint_id: int, now: dt.datetime) -> None:
    """Stops an endpoint: its deliveries wait, and events until it is enabled are not sent.

    A replay makes the deliveries of such events.

    Raises:
        UnknownEndpointError: there is none.
    """
    values = {
        "state": "disabled",
        "disabled_at": sa.func.coalesce(endpoints.c.disabled_at, now),
        "probe_at": None,
        "quiet_until": None,
    }
    _update(connection, endpoint_id, values)


def enable(connection: sa.Connection, endpoint_id: int, now: dt.datetime) -> None:
    """Makes an endpoint active, whatever its failures; its deliveries that wait are due.

    Raises:
        UnknownEndpointError: there is none.
    """
    values = {
        "state": "active",
        "failures": 0,
        "failing_since": None,
        "disabled_at": None,
        "probe_at": None,
        "quiet_until": None,
        "pauses": 0,
        "error": None,
        "enabled_at": sa.case((endpoints.c.state == "disabled", now), else_=endpoints.c.enabled_at),
    }
    _update(connection, endpoint_id, values)
    connection.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.endpoint_id == endpoint_id,
            deliveries.c.state == "waiting",
            deliveries.c.due_at > now,
        )
        .values(due_at=now)
    )
    disabling.recovered(connection, endpoint_id)
    tasks.ring(connection, [endpoint_id])


def forget_old_secrets(connection: sa.Connection, now: dt.datetime) -> None:
    """Removes the secrets that no longer sign."""
    over = sa.update(endpoints).where(endpoints.c.old_secret_until <= now)
    connection.execute(over.values(old_secret=None, old_secret_until=None))


def encrypt_again(connection: sa.Connection, settings: Settings) -> tuple[int, list[str]]:
    """Encrypts the secrets of endpoints with the present key.

    Returns:
        Number of endpoints whose secrets had another one, and a sentence for each endpoint with a
        secret that no key of this installation opens; it stays as it is.
    """
    number, unreadable = 0, []
    for row in connection.execute(sa.select(endpoints).with_for_update()).all():
        values = {}
        for column in ("secret", "old_secret"):
            if not (token := getattr(row, column)):
                continue
            try:
                again = vault.encrypt_again(settings, token, "a webhook endpoint")
            except ConfigurationError:
                unreadable.append(signing.unreadable(row.id))
                break
            if again is not None:
                values[column] = again
        if values:
            _update(connection, row.id, values)
            number += 1
    return number, unreadable


def listed(
    connection: sa.Connection, organization_id: int | None = None, endpoint_id: int | None = None
) -> Sequence[Endpoint]:
    """The endpoints of an organization, or of all and the operator, by number."""
    query = (
        sa.select(
            endpoints.c.id,
            organizations.c.external_id.label("organization"),
            endpoints.c.url,
            endpoints.c.event_types,
            endpoints.c.state,
            endpoints.c.failures,
            endpoints.c.failing_since,
            sa.func.greatest(endpoints.c.probe_at, endpoints.c.quiet_until).label(
                "next_attempt_at"
            ),
            endpoints.c.error,
            endpoints.c.last_ok_at,
            endpoints.c.created_at,
            sa.func.least(_counted("draft") + _counted("waiting"), MAX_COUNTED).label("waiting"),
            _counted("failed").label("failed"),
        )
        .outerjoin(organizations, organizations.c.id == endpoints.c.organization_id)
        .order_by(endpoints.c.id)
    )
    if organization_id is not None:
        query = query.where(endpoints.c.organization_id == organization_id)
    if endpoint_id is not None:
        query = query.where(endpoints.c.id == endpoint_id)
    return [Endpoint(**row._mapping) for row in connection.execute(query)]


def find(
    connection: sa.Connection, endpoint_id: int, organization_id: int | None = None
) -> Endpoint:
    """An endpoint, of the organization if one is given.

    Raises:
        UnknownEndpointError: there is none.
    """
    found = listed(connection, organization_id, endpoint_id)
    if not found:
        raise UnknownEndpointError(endpoint_id)
    return found[0]


def _counted(state: str) -> sa.ScalarSelect[int]:
    """The number of deliveries of an endpoint in a state, at most `MAX_COUNTED`."""
    # A constant and the order of its index, so that every plan has that index: a count without
    # order reads the whole table for an endpoint with fewer.
    is_in_state = sa.text(f"deliveries.state = '{state}'")
    order = [] if state == "draft" else [deliveries.c.due_at]
    some = sa.select(deliveries.c.id).where(deliveries.c.endpoint_id == endpoints.c.id, is_in_state)
    ordered = some.order_by(*order, deliveries.c.id)
    bounded = ordered.limit(MAX_COUNTED).correlate(endpoints).subquery()
    return sa.select(sa.func.count()).select_from(bounded).scalar_subquery()


def _require_room(connection: sa.Connection, organization_id: int | None) -> None:
    """Refuses one endpoint more than an organization, or the operator, may have."""
    own = organizations.c.id == organization_id
    # Of two that are added at once, the second counts the first.
    connection.execute(sa.select(organizations.c.id).where(own).with_for_update(key_share=True))
    known = sa.select(sa.func.count()).where(
        endpoints.c.organization_id.is_not_distinct_from(organization_id)
    )
    if connection.execute(known.select_from(endpoints)).scalar_one() >= MAX_ENDPOINTS:
        raise BadInputError(
            f"There are {MAX_ENDPOINTS} webhook endpoints already, and an organization has no more."
        )


def _checked(patterns: Iterable[str]) -> list[str]:
    types = list(dict.fromkeys(patterns))
    if len(types) > MAX_PATTERNS:
        raise BadInputError(f"An endpoint has at most {MAX_PATTERNS} patterns of types.")
    for pattern in types:
        if not _PATTERN.fullmatch(pattern):
            raise BadInputError(
                f"'{pattern[:60]}' is no pattern of types such as deal.won or deal.*."
            )
    return types


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"))


def _update(connection: sa.Connection, endpoint_id: int, values: dict[str, Any]) -> None:
    changed = sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(values)
    if not connection.execute(changed).rowcount:
        raise UnknownEndpointError(endpoint_id)
