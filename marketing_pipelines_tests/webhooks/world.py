"""An organization with endpoints, and a receiver on loopback that answers as a test wants."""

import datetime as dt
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.crm.events import ContactStageChanged
from marketing_pipelines.domains.webhooks import endpoints, tasks
from marketing_pipelines.queueing import bus
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.consuming import consume

QUEUES = tuple(queue.name for queue in (tasks.WEBHOOK_EVENTS, tasks.WEBHOOKS, tasks.SLOW_WEBHOOKS))
ALLOWED = "127.0.0.0/8"
_names = itertools.count(1)
Reply = tuple[int, dict[str, str], str]


@dataclass(frozen=True)
class Received:
    """One request that a receiver got."""

    headers: dict[str, str]
    body: str

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server that keeps each request; `replies` gives the answer to one."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.replies: Callable[[Received], Reply] = lambda _received: (200, {}, "fine")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(headers, body)
                receiver.requests.append(received)
                status, sent, text = receiver.replies(received)
                self.send_response(status)
                told = text.encode()
                for name, value in {**sent, "Content-Length": str(len(told))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_arguments: Any) -> None:
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def answer(self, status: int, **headers: str) -> None:
        """Answers every request so from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies = lambda _received: (status, named, f"status {status}")

    @property
    def event_ids(self) -> list[str]:
        return [received.event_id for received in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, closed at the end."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@dataclass
class WebhookWorld:
    """An organization; the clock stands still unless it is set."""

    installation: Installation
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    name: str = field(default_factory=lambda: f"hooked{next(_names)}")
    organization: int = field(init=False)

    def __post_init__(self) -> None:
        with self.begin() as connection:
            self.organization = connection.execute(
                sa.text("insert into crm.organizations (external_id) values (:name) returning id"),
                {"name": self.name},
            ).scalar_one()

    def begin(self) -> Any:
        return self.installation.engine.begin()

    def add(self, url: str, *patterns: str) -> tuple[int, str]:
        """Adds an endpoint, a minute ago; returns its number and secret.

        New contacts publish events themselves, so that it gets other types than theirs by default.
        """
        with self.begin() as connection:
            return endpoints.add(
                connection,
                get_settings(),
                self.organization,
                url,
                patterns or ["contact.stage_changed"],
                self.now - dt.timedelta(minutes=1),
            )

    def contact(self, external_id: str) -> int:
        with self.begin() as connection:
            number: int = connection.execute(
                sa.text(
                    "insert into crm.contacts (organization_id, external_id)"
                    " values (:organization, :external_id) returning id"
                ),
                {"organization": self.organization, "external_id": external_id},
            ).scalar_one()
        return number

    def publish(self, *events: bus.BusEvent) -> list[str]:
        """Publishes events; returns their ids as receivers see them."""
        with self.begin() as connection:
            return [f"event:{number}" for number in bus.publish(connection, events)]

    def moved(self, contact_id: int, to: str = "customer") -> ContactStageChanged:
        return ContactStageChanged(
            organization_id=self.organization,
            contact_id=contact_id,
            **{"from": "lead"},
            to=to,
            reason="won",
            tick=self.now,
        )

    def work(self, *endpoint_ids: int) -> list[str]:
        """Does the due tasks of the queues as of the clock, those of these endpoints first."""
        with self.begin() as connection:
            tasks.ring(connection, endpoint_ids)
        return consume(self.installation.engine, *QUEUES, clock=lambda: self.now)

    def work_after(self, seconds: float, *endpoint_ids: int) -> list[str]:
        """The same, some time later."""
        self.now += dt.timedelta(seconds=seconds)
        return self.work(*endpoint_ids)

    def deliveries(self, columns: str = "event_id, state, attempts, status") -> list[Any]:
        return self.installation.rows(f"select {columns} from webhooks.deliveries order by id")

    def states(self) -> set[str]:
        """The states that deliveries have."""
        return {state for (state,) in self.deliveries("state")}

    def endpoint(self, endpoint_id: int) -> endpoints.Endpoint:
        with self.begin() as connection:
            return endpoints.find(connection, endpoint_id)
