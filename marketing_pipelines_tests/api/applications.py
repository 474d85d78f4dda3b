"""An organization, its application with a token, and what its calls leave in the database."""

import datetime as dt
import itertools
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from httpx2 import Response
from starlette.testclient import TestClient

from marketing_pipelines.api import tokens
from marketing_pipelines.api.app import build_app
from marketing_pipelines.domains.delivery.sending import SendingReport, send_batch
from marketing_pipelines.domains.delivery.transports.outcomes import Transport
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.installation import Installation

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MESSAGES = "/v1/messages"
EVENTS = "/v1/events"
SUBSCRIPTIONS = "/v1/subscriptions"
CONTENT = {"subject": "Your code", "text": "Code {{ message.code }} for {{ first_name }}"}
_numbers = itertools.count(1)


@dataclass
class Application:
    """An application of one organization, whose clock stands still."""

    installation: Installation
    now: dt.datetime = NOW
    name: str = field(default_factory=lambda: f"o{next(_numbers)}")
    organization: int = field(init=False)
    bearer: dict[str, str] = field(init=False)
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.organization = self.value(
            "insert into crm.organizations (external_id) values (:name) returning id",
            name=self.name,
        )
        with self.installation.engine.begin() as connection:
            token = tokens.create(connection, f"app of {self.name}", ["write"], self.organization)
        self.bearer = {"Authorization": f"Bearer {token}"}
        app = build_app(
            settings=self.installation.settings,
            engine=self.installation.engine,
            instance=self.installation.instance,
            now=lambda: self.now,
        )
        self.client = TestClient(app, raise_server_exceptions=False)

    def value(self, statement: str, **parameters: Any) -> Any:
        """The one value of a statement."""
        with self.installation.engine.begin() as connection:
            return connection.execute(sa.text(statement), parameters).scalar_one()

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, which may name the organization as `:own`."""
        own = {"own": self.organization} if ":own" in statement else {}
        return self.installation.rows(statement, **own, **parameters)

    def contact(self, name: str, **columns: str) -> int:
        """A contact of a file."""
        names = "".join(f", {column}" for column in columns)
        values = "".join(f", :{column}" for column in columns)
        number: int = self.value(
            f"insert into crm.contacts (organization_id, external_id{names})"
            f" values (:own, :name{values}) returning id",
            own=self.organization,
            name=name,
            **columns,
        )
        return number

    def suppress(self, address: str, reason: str) -> None:
        """Suppresses an address for mail."""
        self.installation.execute(
            "insert into delivery.suppressions (organization_id, address, channel, reason, since)"
            " values (:own, :address, 'email', :reason, :now)",
            own=self.organization,
            address=address,
            reason=reason,
            now=self.now,
        )

    def body(self, *to: str, **fields: Any) -> dict[str, Any]:
        """The body of a call for mails to these addresses."""
        body = {
            "organization": self.name,
            "channel": "email",
            "to": [{"address": one} for one in to],
            "content": CONTENT,
        }
        return {name: value for name, value in (body | fields).items() if value is not None}

    def ask(self, *to: str, **fields: Any) -> Response:
        """Asks for mails to these addresses."""
        return self.post(MESSAGES, self.body(*to, **fields))

    def post(self, path: str, body: Any) -> Response:
        """Sends a body with the application's token."""
        return self.client.post(path, json=body, headers=self.bearer)

    def get(self, path: str) -> Response:
        """Reads something with the application's token."""
        return self.client.get(path, headers=self.bearer)

    def ids(self, answer: Response) -> list[int]:
        """The messages of an answer, in the order of its recipients."""
        listed = answer.json()["messages"]
        assert [one["to"] for one in listed] == list(range(len(listed)))
        return [one["id"] for one in listed]

    def messages(self) -> int:
        """The number of the organization's messages."""
        number: int = self.value(
            "select count(*) from delivery.messages where organization_id = :own",
            own=self.organization,
        )
        return number

    def written(self) -> tuple[int, ...]:
        """Numbers of rows that a call may write, over all organizations."""
        [row] = self.rows(
            "select (select count(*) from delivery.messages), (select count(*) from crm.contacts),"
            " (select count(*) from delivery.requests), (select count(*) from delivery.contents),"
            " (select count(*) from analytics.contact_activity),"
            " (select count(*) from crm.organizations),"
            " (select count(*) from crm.tasks where state <> 'open'),"
            " (select count(*) from crm.notifications where read_at is not null),"
            " (select count(*) from exports.requests where state = 'queued'),"
            " (select count(*) from actions.scheduled_actions where state = 'active')"
        )
        return row

    def send(self, transport: Transport, channel: str = "email") -> SendingReport:
        """Sends one batch at the application's time."""
        engine = self.installation.engine
        return send_batch(
            engine.begin,
            channel,
            transport,
            open_marking=lambda: committing_each(engine),
            clock=lambda: self.now,
        )
