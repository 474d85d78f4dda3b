"""A mailbox as its connection describes it: its own addresses, cut-off and choice of mail."""

import datetime as dt
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.tables import users
from marketing_pipelines.domains.inbox.mails import Mail
from marketing_pipelines.domains.inbox.session import Folder
from marketing_pipelines.domains.inbox.tables import mailboxes
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import IMAP, ImapFields
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.settings import Settings

MAX_ADDRESSES = 1_000
MAX_ADDRESS_LENGTH = 320
SENT_NAMES = ("Sent", "Sent Items", "Sent Messages", "INBOX.Sent")


@dataclass(frozen=True)
class Mailbox:
    """A mailbox that is read.

    Attributes:
        owner_id: User whose mailbox it is; None: of no user.
        owner_addresses: Addresses of the mailbox and of its owner.
        own_addresses: These, and those of the organization's other mailboxes.
        cut_off_at: Mail that arrived before is not read.
        connected_at: First tick that read it.
    """

    connection: Connection
    fields: ImapFields
    owner_id: int | None
    owner_addresses: frozenset[str]
    own_addresses: frozenset[str]
    cut_off_at: dt.datetime
    connected_at: dt.datetime

    @property
    def id(self) -> int:
        """The number of its connection."""
        return self.connection.id

    @property
    def organization_id(self) -> int:
        return self.connection.organization_id

    def is_own(self, address: str) -> bool:
        """Returns true for an address of the owner, of a mailbox, or of an internal domain."""
        return address in self.own_addresses or _is_in(address, self.fields.internal)

    def leaves_out(self, mail: Mail) -> bool:
        """Returns true for mail with an excluded address, and for internal mail."""
        parties = parties_of(mail)
        if not parties:
            return False
        others = [one for one in parties if one not in self.own_addresses]
        if any(self._is_excluded(one) for one in others):
            return True
        return bool(self.fields.internal) and all(self.is_own(one) for one in parties)

    def new_contacts(self, mail: Mail, *, is_sent: bool) -> list[str]:
        """Returns the addresses of a mail that become contacts, those of known ones among them.

        Args:
            is_sent: True for mail of the folder of sent mail; all other mail may be forged.
        """
        if mail.is_auto_reply or mail.is_bounce or mail.has_list_id or mail.malformed:
            return []
        if mail.from_address in self.owner_addresses:
            chosen = self.fields.contacts != "existing" and is_sent
            asked: Iterable[str] = (*mail.to_addresses, *mail.cc_addresses)
        else:
            chosen = self.fields.contacts == "create_all"
            asked = [mail.from_address] if mail.from_address else []
        found = [one for one in asked if chosen and not self.is_own(one)]
        return [one for one in found if len(one) <= MAX_ADDRESS_LENGTH][:MAX_ADDRESSES]

    def keeps_raw(self, received_at: dt.datetime, now: dt.datetime) -> bool:
        """Returns true if a mail as it arrived is kept."""
        days = self.fields.keep_raw_days
        is_kept = days == 0 or received_at >= now - dt.timedelta(days=days)
        return self.fields.share == "full" and is_kept

    def _is_excluded(self, address: str) -> bool:
        return self._exclusion is not None and self._exclusion.match(address) is not None

    @cached_property
    def _exclusion(self) -> re.Pattern[str] | None:
        """One pattern of everything that is excluded; None: nothing is."""
        if not self.fields.exclude:
            return None
        parts = []
        for one in self.fields.exclude:
            known = fnmatch.translate(one.lower().replace("[", "[[]").replace("?", "[?]"))
            parts.append(known if "@" in one else rf"(?:.*[@.])?(?:{known})")
        return re.compile("|".join(f"(?:{part})" for part in parts))


def parties_of(mail: Mail) -> list[str]:
    """Returns the addresses of sender and recipients, each once."""
    found = [mail.from_address] if mail.from_address else []
    return list(dict.fromkeys([*found, *mail.to_addresses, *mail.cc_addresses]))


def open_mailbox(
    connection: sa.Connection,
    settings: Settings,
    own: Connection,
    now: dt.datetime,
) -> Mailbox:
    """Returns the mailbox of a connection; its first call fixes its cut-off.

    Raises:
        BadInputError: its owner is no user of the organization.
    """
    fields: ImapFields = own.fields(settings)
    owner = None
    if fields.owner is not None:
        owner = connection.execute(
            sa.select(users.c.id, users.c.email).where(
                users.c.organization_id == own.organization_id, users.c.external_id == fields.owner
            )
        ).one_or_none()
        if owner is None:
            raise BadInputError(
                f"owner of {own.name} names '{fields.owner}', which is no user of the organization:"
                " load the user, or set the connection again."
            )
    first = {
        "connection_id": own.id,
        "cut_off_at": now - dt.timedelta(days=fields.since_days),
        "connected_at": now,
    }
    connection.execute(pg.insert(mailboxes).values(first).on_conflict_do_nothing())
    known = connection.execute(
        sa.select(mailboxes).where(mailboxes.c.connection_id == own.id)
    ).one()
    others = connections.all_of(connection, IMAP, own.organization_id)
    owners = {fields.address}
    if owner is not None and owner.email:
        owners.add(owner.email.strip().lower())
    return Mailbox(
        connection=own,
        fields=fields,
        owner_id=None if owner is None else owner.id,
        owner_addresses=frozenset(owners),
        own_addresses=frozenset(owners | {one.external_id for one in others}),
        cut_off_at=known.cut_off_at,
        connected_at=known.connected_at,
    )


def chosen_folders(fields: ImapFields, folders: Sequence[Folder], *, is_gmail: bool) -> list[str]:
    """Returns the names of the folders that are read.

    Folders of the connection that the server does not have are among them.
    """
    names = {one.name for one in folders}
    inbox = next((name for name in names if name.upper() == "INBOX"), "INBOX")
    if fields.folders:
        given = [inbox if one.upper() == "INBOX" else one for one in fields.folders]
        return list(dict.fromkeys(given))
    everything = [one.name for one in folders if is_gmail and "\\all" in one.flags]
    if everything:
        return everything[:1]
    sent = sent_folder(folders)
    return [inbox] if sent is None else [inbox, sent]


def sent_folder(folders: Sequence[Folder]) -> str | None:
    """Returns the name of the folder of sent mail: the one that is marked, else the usual one."""
    names = {one.name for one in folders}
    marked = [one.name for one in folders if "\\sent" in one.flags]
    usual = [name for name in SENT_NAMES if name in names]
    return next(iter([*marked, *usual]), None)


def _is_in(address: str, domains: Iterable[str]) -> bool:
    """Returns true if an address is of one of these domains or of their subdomains."""
    domain = address.rpartition("@")[2]
    return any(domain == one or domain.endswith(f".{one}") for one in domains)
