"""A program with contacts and messages, written as the engine and applications write them."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.contents import store
from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.sending import SendingReport, send_batch
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.queueing.tasks import Clock
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.delivery.counts import Audience, audience

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
TABLES = {
    "campaign": "campaigns.campaigns",
    "sequence": "campaigns.sequences",
    "journey": "journey.journeys",
}
CONTENTS: Mapping[str, dict[str, Any]] = {
    "email": {"subject": "Hello {{ first_name }}", "text": "Dear {{ first_name }}"},
    "sms": {"text": "Hi {{ first_name }}"},
    "push": {"title": "News", "text": "For {{ first_name }}"},
}


@dataclass
class World:
    """One organization with a program."""

    engine: sa.Engine
    kind: str = "campaign"
    name: str = "acme"
    organization: int = field(init=False)
    program: int = field(init=False)

    def __post_init__(self) -> None:
        self.organization = self.value(
            "insert into crm.organizations (external_id, name) values (:id, :name) returning id",
            id=self.name,
            name=self.name.title(),
        )
        self.program = self.another_program("spring")

    def value(self, statement: str, **parameters: Any) -> Any:
        """The one value of a statement."""
        with self.engine.begin() as connection:
            return connection.execute(sa.text(statement), parameters).scalar_one()

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), parameters)]

    def execute(self, statement: str, **parameters: Any) -> None:
        """Changes something."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)

    def another_program(self, name: str, status: str = "active") -> int:
        """A program of the same kind."""
        number: int = self.value(
            f"insert into {TABLES[self.kind]} (organization_id, external_id, status)"
            " values (:organization, :name, :status) returning id",
            organization=self.organization,
            name=name,
            status=status,
        )
        return number

    def set_status(self, status: str, program: int | None = None) -> None:
        """As an operator does."""
        self.execute(
            f"update {TABLES[self.kind]} set status = :status where id = :id",
            status=status,
            id=program or self.program,
        )

    def contacts(self, count: int, **columns: Any) -> list[int]:
        """Contacts with addresses of their own, unless `columns` says otherwise."""
        given = {"first_name": "Ann", "last_name": "Lee", **columns}
        attributes = json.dumps(given.pop("attributes", {}))
        addresses = {
            "email": "'ann' || (known.count + n) || '@example.org'",
            "phone": "'+4170' || lpad((known.count + n)::text, 7, '0')",
        } | {name: f":{name}" for name in ("email", "phone") if name in columns}
        return [
            row[0]
            for row in self.rows(
                "insert into crm.contacts (organization_id, external_id, email, phone, first_name,"
                " last_name, attributes) select :organization, gen_random_uuid()::text,"
                f" {addresses['email']}, {addresses['phone']}, :first_name, :last_name,"
                " jsonb_build_object('push_token', 'token' || (known.count + n))"
                " || cast(:attributes as jsonb)"
                " from (select count(*) from crm.contacts) as known"
                " cross join generate_series(1, :count) as n order by n returning id",
                organization=self.organization,
                attributes=attributes,
                count=count,
                **given,
            )
        ]

    def messages(
        self,
        contacts: list[int],
        channel: str = "email",
        *,
        step: int = 1,
        due_at: dt.datetime = NOW,
        content: dict[str, Any] | None = None,
        program: int | None = None,
    ) -> list[int]:
        """Messages of one step to these contacts."""
        with self.engine.begin() as connection:
            wanted = {0: (self.organization, content or CONTENTS[channel])}
            written = connection.execute(
                sa.text(
                    "insert into delivery.messages (organization_id, channel, contact_id,"
                    " program_kind, program_id, step_id, rotation, content_id, due_at, queued_at)"
                    " select :organization, :channel, contact, :kind, :program, :step, 1, :content,"
                    " :due_at, :queued_at from unnest(cast(:contacts as bigint[])) as contact"
                    " returning id"
                ),
                {
                    "organization": self.organization,
                    "channel": channel,
                    "kind": self.kind,
                    "program": program or self.program,
                    "step": step,
                    "content": store(connection, wanted)[0],
                    "due_at": due_at,
                    "queued_at": due_at,
                    "contacts": contacts,
                },
            )
            return list(written.scalars())

    def suppress(self, contact: int, channel: str, reason: str = "unsubscribed") -> None:
        """As an event or a person does."""
        self.execute(
            "insert into delivery.suppressions (organization_id, contact_id, channel, reason,"
            " since) values (:organization, :contact, :channel, :reason, :since)",
            organization=self.organization,
            contact=contact,
            channel=channel,
            reason=reason,
            since=NOW,
        )

    def suppress_address(self, address: str, reason: str) -> None:
        """Suppresses an address for mail, as a file or a bounce does."""
        self.execute(
            "insert into delivery.suppressions (organization_id, address, channel, reason, since)"
            " values (:organization, :address, 'email', :reason, :since)",
            organization=self.organization,
            address=address,
            reason=reason,
            since=NOW,
        )

    def send(
        self,
        channel: str = "email",
        *,
        now: dt.datetime = NOW,
        limit: int = 500,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> SendingReport:
        """One batch, at an instant or by a clock."""
        return send_batch(
            self.engine.begin,
            channel,
            transport or Outbox(outbox()),
            open_marking=lambda: committing_each(self.engine),
            clock=clock or (lambda: now),
            limit=limit,
        )

    def states(self) -> list[tuple[str, str | None]]:
        """State and reason of every message, oldest first."""
        return [
            (state, reason)
            for state, reason in self.rows(
                "select state, reason from delivery.messages order by id"
            )
        ]

    def state(self, message: int) -> tuple[str, str | None]:
        """State and reason of a message."""
        [row] = self.rows("select state, reason from delivery.messages where id = :id", id=message)
        return row[0], row[1]

    def audience(self) -> dict[str, Audience]:
        """The messages of the program by channel."""
        with self.engine.begin() as connection:
            return audience(connection, self.kind, self.program)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction."""
        with self.engine.begin() as connection:
            yield connection


@dataclass
class Recorder:
    """A transport that cannot repeat, and remembers what it took.

    Attributes:
        breaks_at: Numbers of messages at which it fails for a reason of its own.
    """

    taken: list[Rendered] = field(default_factory=list)
    breaks_at: set[int] = field(default_factory=set)
    repeatable: bool = False
    line: str | None = None

    def send(self, message: Rendered) -> None:
        """Takes it."""
        if message.id in self.breaks_at:
            raise ConnectionResetError("the provider hung up")
        self.taken.append(message)


def outbox() -> Path:
    """The folder of the installation under test."""
    return get_settings().outbox_folder


def files(folder: Path | None = None) -> list[Path]:
    """The messages of the outbox."""
    found = (folder or outbox()).glob("[a-z]*/*/*")
    return sorted(found, key=lambda path: (path.parent, int(path.stem)))


def mail(message: int, folder: Path | None = None) -> EmailMessage:
    """A mail as a reader sees it."""
    [path] = (folder or outbox()).glob(f"email/*/{message}.eml")
    read = message_from_bytes(path.read_bytes().replace(b"\r\n", b"\n"), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read
