"""A mail server that counts: `python -m ….mail_sink` prints its port, and at the end of its input
the instants at which it took mails, as JSON by recipient's domain."""

import json
import sys
import time
from collections import defaultdict

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Counting:
    """Takes every mail."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Notes the instant."""
        domain = (envelope.rcpt_tos[0] or "").rpartition("@")[2]
        self.taken[domain].append(time.time())
        return "250 Ok: queued as A1B2"


class FreePort(Controller):
    """A controller on a free port."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


if __name__ == "__main__":
    counting = Counting()
    controller = FreePort(counting, hostname="127.0.0.1", port=0)
    controller.start()
    print(controller.port, flush=True)
    sys.stdin.read()
    controller.stop()
    print(json.dumps(counting.taken))
