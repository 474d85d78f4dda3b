"""Mailboxes of organizations on a scripted server, and mails to put there."""

import datetime as dt
from typing import Any

from marketing_pipelines.domains.inbox import synchronizing
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines_tests.inbox.imap_server import ImapServer
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.world import Connected

TICK = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
FIVE_MINUTES = dt.timedelta(minutes=5)
ANNA, BEN = "anna@acme.example", "ben@client.example"


def mail(
    number: Any = 1,
    *,
    sender: str = BEN,
    to: str = ANNA,
    body: str = "Hello",
    headers: dict[str, str] | None = None,
    message_id: str | None = "",
    date: str = "Sun, 01 Mar 2026 10:00:00 +0000",
) -> bytes:
    """A mail in bytes; without Message-ID where it is None."""
    own = {"From": sender, "To": to, "Subject": f"Mail {number}", "Date": date}
    if message_id is not None:
        own["Message-ID"] = message_id or f"<m{number}@client.example>"
    lines = [f"{name}: {value}" for name, value in {**own, **(headers or {})}.items()]
    return "\r\n".join([*lines, "", f"{body} {number}", ""]).encode()


class Mailboxes(Connected):
    """Organizations acme and umbra, with the contact ben of acme, and a server of mail."""

    def __init__(self, installation: Installation, server: ImapServer) -> None:
        super().__init__(installation)
        self.server = server
        self.contacts({"external_id": "ben", "email": BEN})

    def receive(self, *mails: bytes, folder: str = "INBOX", at: dt.datetime | None = None) -> None:
        """Puts mails into a folder."""
        for one in mails:
            self.server.folders[folder].add(one, at or TICK - dt.timedelta(hours=2))

    def connect_anna(self, **changed: Any) -> Connection:
        """Sets the connection of anna's mailbox."""
        return self.connect("imap", **self.server.fields(**changed))

    def sync(self, at: dt.datetime = TICK) -> dict[str, Any]:
        """Runs the job for a tick; returns the metadata of its session."""
        return self.run(synchronizing.synchronize, at)

    def subjects(self) -> list[str]:
        """The subjects of stored mails."""
        rows = self.rows(
            "select subject from inbox.email_messages order by length(subject), subject"
        )
        return [subject for (subject,) in rows]

    def places(self) -> list[tuple[Any, ...]]:
        """Folder, generation and number of places, and the subject of the mail stored for it."""
        return self.rows(
            "select folder, uidvalidity, uid, subject from inbox.message_places as place"
            " left join inbox.email_messages as mail on mail.id = place.message_id"
            " order by folder, uidvalidity, uid"
        )

    def cursors(self) -> list[tuple[Any, ...]]:
        """Folder, generation, highest and lowest number, and true if it is complete."""
        return self.rows(
            "select folder, uidvalidity, highest_uid, lowest_uid, complete from inbox.cursors"
            " order by folder"
        )
