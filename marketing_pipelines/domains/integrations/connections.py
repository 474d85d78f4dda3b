"""Connections of organizations: set, listed, tried again and removed; read by the jobs.

A connection in state `reconnect` waits for a person: nothing calls its system until it is set anew
or tried again by hand.

Every transaction takes the row of a connection before its standing and its incident.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from marketing_pipelines.domains.crm.names import find_user
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.domains.integrations.providers import (
    PROVIDERS,
    Provider,
    ProviderFields,
    provider_of,
)
from marketing_pipelines.domains.integrations.tables import connections, syncs
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs import incidents
from marketing_pipelines.settings import Settings

# The life of an access token whose end is not known.
TOKEN_LIFE = dt.timedelta(hours=1)
# The first word of the subjects of incidents.
INCIDENT = "connection"
_ROW = (
    sa.select(connections, organizations.c.external_id.label("organization"))
    .join(organizations, organizations.c.id == connections.c.organization_id)
    .order_by(connections.c.provider, organizations.c.external_id, connections.c.external_id)
)


@dataclass(frozen=True)
class Connection:
    """One connection as its row has it; `fields` opens its secrets.

    Attributes:
        state: ok, failing or reconnect.
        changed_at: Latest change by a person.
        expires_at: End of the access token of a grant.
        refresh_expires_at: End of the refresh token of a grant, where the provider names it.
        refused_at: First refusal of the refresh token of a grant.
        given_hash: Hash of the refresh token of a grant as a person gave it.
    """

    id: int
    organization_id: int
    organization: str
    provider: str
    external_id: str
    settings: Mapping[str, Any]
    secrets: str | None
    state: str
    last_ok_at: dt.datetime | None
    error: str | None
    changed_at: dt.datetime
    expires_at: dt.datetime | None
    refresh_expires_at: dt.datetime | None
    refused_at: dt.datetime | None
    given_hash: str | None

    @property
    def name(self) -> str:
        """Its name in failures, such as `leadsquared of acme`."""
        which = f" {self.external_id}" if self.external_id else ""
        return f"{self.provider}{which} of {self.organization}"

    def fields(self, settings: Settings) -> Any:
        """Its settings and secrets, as the fields of its provider.

        Raises:
            ConfigurationError: its secrets were encrypted with another key.
            BadInputError: this release no longer takes them.
        """
        secrets = vault.decrypt(settings, self.secrets, self.name)
        return provider_of(self.provider).validated({**self.settings, **secrets})


def set_connection(
    connection: sa.Connection,
    settings: Settings,
    organization_id: int,
    provider: Provider,
    given: Mapping[str, Any],
    now: dt.datetime,
) -> Connection:
    """Stores a connection, or changes the fields of it that are given; null takes a default again.

    Its state becomes ok, and it is tried at the next tick. A refresh token that a person gave
    before, and that its provider has replaced since, stays replaced.

    Raises:
        BadInputError: a field cannot be used, or the secrets would go to another system.
        ConfigurationError: there is no key to encrypt with.
    """
    external_id = str(given.get(provider.fields.named_by, "")) if provider.fields.named_by else ""
    found = _find(connection, organization_id, provider, external_id, locked=True)
    stored: dict[str, Any] = {}
    if found is not None:
        stored = {**found.settings, **vault.decrypt(settings, found.secrets, found.name)}
        stored = {name: v for name, v in stored.items() if name != provider.fields.issued}
    merged = {name: value for name, value in {**stored, **given}.items() if value is not None}
    fields = provider.validated(merged)
    _require_user(connection, organization_id, getattr(fields, "owner", None))
    if found is not None:
        _require_secrets_for_another_system(provider, stored, merged, fields, given)
    secrets = {
        name: value.get_secret_value()
        for name in provider.secrets
        if isinstance(value := getattr(fields, name), SecretStr)
    }
    tokens = _tokens(provider, found, stored, merged, given, secrets)
    values = {
        "settings": {k: v for k, v in merged.items() if k not in provider.secrets},
        "secrets": vault.encrypt(settings, secrets) if secrets else None,
        "state": "ok",
        "error": None,
        "changed_at": now,
        "expires_at": now + TOKEN_LIFE if provider.fields.issued in secrets else None,
        "refused_at": None,
        **tokens,
    }
    if found is None:
        key = {
            "organization_id": organization_id,
            "provider": provider.name,
            "external_id": external_id,
        }
        connection.execute(sa.insert(connections).values(**key, **values))
    else:
        connection.execute(
            sa.update(connections).where(connections.c.id == found.id).values(**values)
        )
        _begin_again(connection, found)
    return get(connection, organization_id, provider, external_id)


def get(
    connection: sa.Connection, organization_id: int, provider: Provider, external_id: str = ""
) -> Connection:
    """The connection of an organization.

    Raises:
        BadInputError: it has none.
    """
    found = _find(connection, organization_id, provider, external_id)
    if found is None:
        which = f" {external_id}" if external_id else ""
        raise BadInputError(
            f"The organization has no connection {provider.name}{which}: make one with "
            f"`marketing-pipelines connection set {provider.name}`."
        )
    return found


def numbered(connection: sa.Connection, number: int) -> Connection | None:
    """The connection with a number; None: it is removed."""
    row = connection.execute(_ROW.where(connections.c.id == number)).one_or_none()
    return None if row is None else Connection(**row._mapping)


def named(
    connection: sa.Connection, organization_id: int, provider: Provider, external_id: str | None
) -> Connection:
    """The connection that a user means: the only one, unless its external id is given.

    Raises:
        BadInputError: it has none, or several.
    """
    if external_id is None and provider.fields.named_by is not None:
        several = all_of(connection, provider, organization_id)
        if len(several) > 1:
            known = ", ".join(one.external_id for one in several)
            raise BadInputError(f"Name one of its connections {provider.name} by --id: {known}.")
        external_id = several[0].external_id if several else None
    return get(connection, organization_id, provider, external_id or "")


def all_of(
    connection: sa.Connection,
    provider: Provider | None = None,
    organization_id: int | None = None,
) -> Sequence[Connection]:
    """The connections of a provider, an organization, both, or all."""
    query = _ROW
    if provider is not None:
        query = query.where(connections.c.provider == provider.name)
    if organization_id is not None:
        query = query.where(connections.c.organization_id == organization_id)
    return [Connection(**row._mapping) for row in connection.execute(query)]


def retry(connection: sa.Connection, found: Connection, now: dt.datetime) -> None:
    """Makes the next tick try a connection, in any state."""
    connection.execute(
        sa.update(connections)
        .where(connections.c.id == found.id)
        .values(state="ok", error=None, changed_at=now, refused_at=None)
    )
    _begin_again(connection, found)


def hold(connection: sa.Connection, found: Connection) -> None:
    """Keeps a connection from its removal, which locks it before rows that belong to it."""
    connection.execute(
        sa.select(connections.c.id)
        .where(connections.c.id == found.id)
        .with_for_update(read=True, key_share=True)
    )


def remove(connection: sa.Connection, found: Connection) -> None:
    """Removes a connection with its secrets and standing; rows that it brought stay."""
    connection.execute(sa.select(sa.func.integrations.lock_users()))
    connection.execute(sa.delete(connections).where(connections.c.id == found.id))
    incidents.recovered(connection, f"{INCIDENT} {found.name}")


def rotate(connection: sa.Connection, settings: Settings, found: Connection) -> bool:
    """Encrypts the secrets of a connection with the present key, under the lock of its row.

    Returns:
        True if they had another key.

    Raises:
        ConfigurationError: no key of this installation fits.
    """
    token = connection.execute(
        sa.select(connections.c.secrets).where(connections.c.id == found.id).with_for_update()
    ).scalar()
    again = token and vault.encrypt_again(settings, token, found.name)
    if again:
        connection.execute(
            sa.update(connections).where(connections.c.id == found.id).values(secrets=again)
        )
    return bool(again)


def note_reconnect(connection: sa.Connection, found: Connection, error: str) -> bool:
    """Makes a connection wait for a person, and alerts once; one changed since then goes on.

    Returns:
        True: it waits from now on.
    """
    changed = connection.execute(
        sa.update(connections)
        .where(*_unchanged(found), connections.c.state != "reconnect")
        .values(state="reconnect", error=error)
    )
    if changed.rowcount:
        subject = f"{INCIDENT} {found.name}"
        incidents.item_failed(connection, subject, "", error, 1, since=found.changed_at,
                              kind="first")  # fmt: skip
    return changed.rowcount > 0


def note_failing(connection: sa.Connection, found: Connection, error: str) -> None:
    """Notes why a connection does not work for now."""
    connection.execute(
        sa.update(connections).where(*_unchanged(found)).values(state="failing", error=error)
    )


def note_ok(connection: sa.Connection, found: Connection, at: dt.datetime) -> None:
    """Notes that a connection works."""
    connection.execute(
        sa.update(connections)
        .where(*_unchanged(found))
        .values(
            state="ok",
            error=None,
            last_ok_at=sa.func.greatest(connections.c.last_ok_at, at),
        )
    )


def known_providers() -> str:
    """The names of all providers, for help texts."""
    return ", ".join(PROVIDERS)


def _unchanged(found: Connection) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition that no person has changed the row since it was read."""
    return connections.c.id == found.id, connections.c.changed_at == found.changed_at


def _find(
    connection: sa.Connection,
    organization_id: int,
    provider: Provider,
    external_id: str,
    *,
    locked: bool = False,
) -> Connection | None:
    query = _ROW.where(
        connections.c.organization_id == organization_id,
        connections.c.provider == provider.name,
        connections.c.external_id == external_id,
    )
    if locked:
        query = query.with_for_update(of=connections)
    row = connection.execute(query).one_or_none()
    return None if row is None else Connection(**row._mapping)


def _begin_again(connection: sa.Connection, found: Connection) -> None:
    connection.execute(
        sa.update(syncs).where(syncs.c.connection_id == found.id).values(next_at=None, error=None)
    )
    incidents.recovered(connection, f"{INCIDENT} {found.name}")


def _tokens(
    provider: Provider,
    found: Connection | None,
    stored: Mapping[str, Any],
    merged: Mapping[str, Any],
    given: Mapping[str, Any],
    secrets: dict[str, str],
) -> dict[str, Any]:
    """The columns on the refresh token of a grant, which stays in `secrets` where it is newer."""
    name, bound = provider.fields.renewed, provider.fields.bound_to
    if name is None:
        return {}
    given_hash = None if found is None else found.given_hash
    if name in given:
        before, given_hash = given_hash, hashlib.sha256(secrets[name].encode()).hexdigest()
        is_known = found is not None and found.state != "reconnect" and before == given_hash
        if is_known and stored[bound] == merged[bound]:
            secrets[name] = stored[name]
    stays = found is not None and stored[name] == secrets[name]
    return {
        "given_hash": given_hash,
        "refresh_expires_at": found.refresh_expires_at if found and stays else None,
    }


def _require_user(connection: sa.Connection, organization_id: int, external_id: str | None) -> None:
    if external_id is None:
        return
    if find_user(connection, organization_id, external_id) is None:
        raise BadInputError(
            f"owner: the organization has no user '{external_id}'; `load users` makes users."
        )


def _require_secrets_for_another_system(
    provider: Provider,
    stored: Mapping[str, Any],
    merged: Mapping[str, Any],
    fields: ProviderFields,
    given: Mapping[str, Any],
) -> None:
    bound = provider.fields.bound_to
    # Rows have fields as they were given: without those that have a default, or with a last slash.
    before = {**merged, bound: stored.get(bound)}
    known = provider.validated({name: value for name, value in before.items() if value is not None})
    if getattr(known, bound) == getattr(fields, bound):
        return
    kept = sorted(name for name in provider.logins if name in stored and name not in given)
    if kept:
        raise BadInputError(
            f"{bound} names another system: give {', '.join(kept)} with it, so that no system gets "
            "the secrets of another."
        )
