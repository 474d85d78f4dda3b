"""The templates, categories and sending domains of organizations, found by their names."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.consent.tables import categories
from marketing_pipelines.domains.delivery.named_templates.tables import templates
from marketing_pipelines.domains.delivery.named_templates.template import (
    PARTS,
    NamedTemplate,
    built_in,
)
from marketing_pipelines.domains.delivery.tables import sending_domains
from marketing_pipelines.failures import BadInputError

# The one category of an organization that has loaded none.
GENERAL = "general"
MAX_NAMES = 20
_SENDER = re.compile(r"(?:[^@\s<>()\[\],;:\"\\]+@)?([^@\s]+)")


class UnknownNameError(BadInputError):
    """A name that does not exist.

    Attributes:
        key: The key that gives it: template, category or from.
        reason: The rest of the sentence, without a full stop.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}.")
        self.key = key
        self.reason = reason


@dataclass(frozen=True)
class Wanted:
    """A message as a step or a request describes it; a template fills in what is None.

    Attributes:
        template: Id of a template; None: `content` stands by itself.
        sender: Sending domain, or an address of one.
        valid_for: Length of time; 0 = for ever.
    """

    channel: str
    template: str | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    category: str | None = None
    sender: str | None = None
    kind: str | None = None
    priority: int | None = None
    valid_for: str | None = None


@dataclass(frozen=True)
class Outgoing:
    """A message as it is queued: the columns of its row.

    Attributes:
        content: As `contents.store` takes it.
        category_id: None: the organization's default category.
        domain_id: None: the organization's default domain.
        valid_for: None: as the organization's settings say.
    """

    content: Mapping[str, Any]
    kind: str
    category_id: int | None
    domain_id: int | None
    priority: int
    valid_for: str | None


@dataclass(frozen=True)
class Catalog:
    """The names of organizations, each with its organization; an unknown organization has none.

    Attributes:
        templates: Those that were asked for.
        channels: The channels of all templates.
    """

    categories: Mapping[tuple[int | None, str], int]
    domains: Mapping[tuple[int | None, str], int]
    templates: Mapping[tuple[int | None, str], NamedTemplate]
    channels: Mapping[tuple[int | None, str], str]

    @classmethod
    def read(
        cls, connection: sa.Connection, organizations: Iterable[int], wanted: Collection[str] = ()
    ) -> "Catalog":
        """Reads the names of organizations, and the templates of theirs that are `wanted`."""
        own = list(set(organizations))
        if not own:
            return cls({}, {}, {}, {})
        stored = connection.execute(
            sa.select(templates).where(
                templates.c.organization_id.in_(own), templates.c.external_id.in_(list(wanted))
            )
        ).mappings()
        return cls(
            categories=_numbers(connection, categories, "external_id", "id", own),
            domains=_numbers(connection, sending_domains, "domain", "id", own),
            templates={(row["organization_id"], row["external_id"]): _read(row) for row in stored},
            channels=_numbers(connection, templates, "external_id", "channel", own),
        )

    def outgoing(self, organization_id: int | None, wanted: Wanted) -> Outgoing:
        """Returns a message as it is queued.

        Raises:
            UnknownNameError: a name does not exist, or a template is for another channel.
        """
        template = None
        if wanted.template is not None:
            template = self.template(organization_id, wanted.template, wanted.channel)
        content = dict(wanted.content if template is None else template.content)
        sender = wanted.sender or (template.sender if template else None)
        category = wanted.category or (template.category if template else None)
        if sender is not None and "@" in sender:
            content["from"] = sender
        priority = wanted.priority
        if priority is None:
            priority = template.priority if template else 0
        return Outgoing(
            content=content,
            kind=wanted.kind or (template.kind if template else "marketing"),
            category_id=self.category_id(organization_id, category),
            domain_id=self.domain_id(organization_id, sender),
            priority=priority,
            valid_for=wanted.valid_for or (template.valid_for if template else None),
        )

    def template(
        self, organization_id: int | None, name: str, channel: str | None = None
    ) -> NamedTemplate:
        """Returns an organization's template, or the built-in one of that id.

        Args:
            channel: The channel that it must be for; None: any.

        Raises:
            UnknownNameError: there is none, or it is for another channel.
        """
        found = self.templates.get((organization_id, name)) or built_in().get(name)
        if found is None:
            channels = {id_: one.channel for id_, one in built_in().items()}
            channels |= {
                id_: of for (own, id_), of in self.channels.items() if own == organization_id
            }
            known = (id_ for id_, of in channels.items() if channel in (None, of))
            raise _unknown("template", "template", name, known)
        if channel not in (None, found.channel):
            raise UnknownNameError(
                "template", f"'{name}' is a template of the channel {found.channel}, not {channel}"
            )
        return found

    def category_id(self, organization_id: int | None, name: str | None) -> int | None:
        """Returns the number of a category; None: the default one.

        Raises:
            UnknownNameError: the organization does not have it.
        """
        own = {known for of, known in self.categories if of == organization_id}
        if name is None or (name == GENERAL and not own):
            return None
        if name not in own:
            raise _unknown("category", "category", name, own or {GENERAL})
        return self.categories[organization_id, name]

    def domain_id(self, organization_id: int | None, sender: str | None) -> int | None:
        """Returns the number of the domain of a sender; None: the default one.

        Raises:
            UnknownNameError: the organization does not have it, or the sender is no address.
        """
        if sender is None:
            return None
        matched = _SENDER.fullmatch(sender)
        if matched is None:
            raise UnknownNameError(
                "from", f"'{sender[:60]}' is neither a sending domain nor an address of one"
            )
        own = {known for of, known in self.domains if of == organization_id}
        domain = matched[1].lower()
        if domain not in own:
            raise _unknown("from", "sending domain", domain, own)
        return self.domains[organization_id, domain]


def find_template(
    connection: sa.Connection, organization_id: int, external_id: str
) -> NamedTemplate:
    """Returns an organization's template, or the built-in one of that id.

    Raises:
        UnknownNameError: there is none; the sentence names the known ones.
    """
    return Catalog.read(connection, [organization_id], [external_id]).template(
        organization_id, external_id
    )


def _numbers(
    connection: sa.Connection, table: sa.Table, name: str, value: str, organizations: list[int]
) -> dict[tuple[int | None, str], Any]:
    rows = connection.execute(
        sa.select(table.c.organization_id, table.c[name], table.c[value]).where(
            table.c.organization_id.in_(organizations)
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


def _read(row: Any) -> NamedTemplate:
    return NamedTemplate(
        external_id=row["external_id"],
        channel=row["channel"],
        kind=row["kind"],
        content={part: row[part] for part in PARTS[row["channel"]] if row[part] is not None},
        category=row["category"],
        sender=row["from"],
        priority=row["priority"],
        valid_for=row["valid_for"],
    )


def _unknown(key: str, what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    names = sorted(known)
    more = ", …" if names[MAX_NAMES:] else ""
    listed = ", ".join(names[:MAX_NAMES]) + more if names else "none"
    return UnknownNameError(key, f"there is no {what} '{name[:60]}': the known ones are {listed}")
