"""The choice of the mails of a folder that are stored, by their headers, before they are read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.message_ids import number_in
from marketing_pipelines.domains.inbox.fetched import Listed
from marketing_pipelines.domains.inbox.mailboxes import Mailbox, parties_of
from marketing_pipelines.domains.inbox.mails import Mail, read_mail
from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.domains.inbox.tables import SHARES
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.ledger import blocks_of, open_ledger

# The address to which a message of ours comes back, if it does.
_RETURNED = re.compile(r"[^@]*\+[0-9]{1,18}\.[^@]+@")
_REPORTERS = re.compile(r"(?:mailer-daemon|postmaster|mail-daemon)@")


@dataclass(frozen=True)
class MailChoice:
    """The decision on one mail of a folder.

    Attributes:
        header: The mail by its header alone.
        is_stored: True if the mail is or becomes a row.
        is_read: True if it has to be read for that, since it is new or is shared with less so far.
        is_only_report: True if it is stored only if it proves to be a bounce.
    """

    listed: Listed
    header: Mail
    is_stored: bool
    is_read: bool
    is_only_report: bool

    @property
    def bytes_to_read(self) -> int:
        """The size of the mail, if it has to be read; at least one byte."""
        return max(self.listed.size, 1) if self.is_read else 0


def choose(
    connection: sa.Connection, mailbox: Mailbox, listed: Sequence[Listed]
) -> dict[int, MailChoice]:
    """Decides on mails by their headers; returns the choices by number (UID).

    Mail from before the cut-off is not among them.
    """
    fresh = [one for one in listed if (one.received_at or mailbox.cut_off_at) >= mailbox.cut_off_at]
    headers = {one.uid: read_mail(one.header) for one in fresh}
    asked = [_asked(mailbox, one, headers[one.uid]) for one in fresh]
    blocks = blocks_of(open_ledger(connection, get_settings()))
    rows = connection.execute(
        statement("decide"),
        {"organization_id": mailbox.organization_id, "asked": asked, **blocks},
    )
    known = {row.uid: row for row in rows}
    return {one.uid: _choice(mailbox, one, headers[one.uid], known[one.uid]) for one in fresh}


def _asked(mailbox: Mailbox, listed: Listed, mail: Mail) -> dict[str, Any]:
    return {
        "uid": listed.uid,
        "identity": mail.identity,
        "addresses": [one for one in parties_of(mail) if one not in mailbox.own_addresses],
        "contacts": mailbox.new_contacts(mail, is_sent=listed.is_sent),
        # Some services replace the domain of a Message-ID.
        "names": [*mail.names, *(one.partition("@")[0] for one in mail.names)],
        "numbers": [found for one in mail.names if (found := number_in(one)) is not None],
    }


def _choice(mailbox: Mailbox, listed: Listed, mail: Mail, row: sa.Row[Any]) -> MailChoice:
    is_wanted = mail.malformed or row.has_contact or row.names_ours or row.lacks_contact
    is_left_out = listed.is_draft or mailbox.leaves_out(mail) or row.is_erased
    is_stored = not is_left_out and (is_wanted or _may_be_report(mail))
    share = SHARES.index(mailbox.fields.share)
    is_known = row.id is not None and SHARES.index(row.share) >= share and not row.lacks_contact
    return MailChoice(
        listed,
        mail,
        is_stored=is_stored,
        is_read=is_stored and not is_known,
        is_only_report=not is_wanted,
    )


def _may_be_report(mail: Mail) -> bool:
    """Returns true if the whole mail may be a report on another one, such as a bounce."""
    sender = mail.from_address or ""
    return (
        mail.is_bounce
        or mail.return_path == ""
        or _REPORTERS.match(sender) is not None
        or any(_RETURNED.match(one) for one in (*mail.to_addresses, *mail.delivered_to))
    )
