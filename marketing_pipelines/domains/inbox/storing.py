"""Storing a batch of mails: rows, places and the cursor of the folder, in one transaction."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.crm.recipients import Asked, contacts_of
from marketing_pipelines.domains.inbox.mailboxes import (
    MAX_ADDRESS_LENGTH,
    MAX_ADDRESSES,
    Mailbox,
    parties_of,
)
from marketing_pipelines.domains.inbox.mails import Attachment, Mail
from marketing_pipelines.domains.inbox.raw_files import forget_named
from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.domains.inbox.tables import SHARES, cursors, message_places
from marketing_pipelines.domains.inbox.threads import join_threads
from marketing_pipelines.domains.integrations.connections import hold

MAX_TEXT_LENGTH = 200_000
# Longer ones do not fit into an index.
MAX_ID_LENGTH = 600


@dataclass(frozen=True)
class Cursor:
    """The progress of reading a folder.

    Attributes:
        is_complete: True if everything down to the cut-off is read.
    """

    folder: str
    uidvalidity: int
    highest_uid: int
    lowest_uid: int
    is_complete: bool


@dataclass(frozen=True)
class Placed:
    """A mail at its place in the folder.

    Attributes:
        identity: Of the stored mail; None: the mail is not stored.
        mail: The mail, if it was read to be stored; None: it is stored already.
        raw_path: The file of the mail as it arrived; None: it is not kept.
        is_sent: True if the owner sent it, as its place says.
    """

    uid: int
    received_at: dt.datetime
    identity: str | None
    mail: Mail | None = None
    raw_path: str | None = None
    is_sent: bool = False


@dataclass(frozen=True)
class StoredMails:
    """The mails that a batch stored.

    Attributes:
        new: By the numbers of their rows.
        completed: Numbers of mails that were there and got texts or contacts.
    """

    new: Mapping[int, Mail]
    completed: Sequence[int] = ()


def cursor_of(connection: sa.Connection, mailbox: Mailbox, folder: str) -> Cursor | None:
    """Returns how far a folder is read; None: it was never read."""
    row = connection.execute(
        sa.select(cursors).where(cursors.c.connection_id == mailbox.id, cursors.c.folder == folder)
    ).one_or_none()
    if row is None:
        return None
    return Cursor(folder, row.uidvalidity, row.highest_uid, row.lowest_uid, row.complete)


def begin_folder(connection: sa.Connection, mailbox: Mailbox, cursor: Cursor) -> None:
    """Begins to read a folder anew; places of its former generation are gone."""
    hold(connection, mailbox.connection)
    connection.execute(
        sa.delete(message_places).where(
            message_places.c.connection_id == mailbox.id, message_places.c.folder == cursor.folder
        )
    )
    move_cursor(connection, mailbox, cursor)


def move_cursor(connection: sa.Connection, mailbox: Mailbox, cursor: Cursor) -> None:
    """Notes how far a folder is read."""
    values = {
        "uidvalidity": cursor.uidvalidity,
        "highest_uid": cursor.highest_uid,
        "lowest_uid": cursor.lowest_uid,
        "complete": cursor.is_complete,
    }
    key = {"connection_id": mailbox.id, "folder": cursor.folder}
    connection.execute(
        pg.insert(cursors)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=values)
    )


def store(
    connection: sa.Connection,
    mailbox: Mailbox,
    cursor: Cursor,
    placed: Sequence[Placed],
) -> StoredMails:
    """Stores a batch and moves the cursor of its folder.

    Args:
        connection: In a transaction of read committed.
    """
    read = [(one, one.mail) for one in placed if one.mail is not None]
    stored = StoredMails({})
    if read:
        _make_contacts(connection, mailbox, read)
        bound = {
            "organization_id": mailbox.organization_id,
            "mails": [_row(mailbox, one, mail) for one, mail in read],
        }
        rows = connection.execute(statement("store_mails"), bound).all()
        mails = {mail.identity: mail for _, mail in reversed(read)}
        stored = StoredMails(
            {row.id: mails[row.identity] for row in rows if row.is_new},
            [row.id for row in rows if not row.is_new],
        )
        join_threads(connection, list(stored.new))
    place = {
        "connection_id": mailbox.id,
        "organization_id": mailbox.organization_id,
        "folder": cursor.folder,
        "uidvalidity": cursor.uidvalidity,
        "places": [{"uid": one.uid, "identity": one.identity} for one in placed],
    }
    connection.execute(statement("store_places"), place)
    forget_named(connection, [one.raw_path for one in placed if one.raw_path is not None])
    move_cursor(connection, mailbox, cursor)
    return stored


def _make_contacts(
    connection: sa.Connection, mailbox: Mailbox, read: Sequence[tuple[Placed, Mail]]
) -> None:
    """Makes contacts of the addresses that the mailbox chooses; known ones stay as they are."""
    names: dict[str, str | None] = {}
    for placed, mail in read:
        for address in mailbox.new_contacts(mail, is_sent=placed.is_sent):
            names[address] = names.get(address) or mail.display_names.get(address) or None
    if names:
        asked = [Asked(address=one, given=one, name=name) for one, name in names.items()]
        contacts_of(
            connection, mailbox.organization_id, "email", asked, source="import", is_own_wish=False
        )


def _row(mailbox: Mailbox, placed: Placed, mail: Mail) -> dict[str, Any]:
    share = SHARES.index(mailbox.fields.share)
    is_full, has_subject = share >= SHARES.index("full"), share >= SHARES.index("subject")
    others = [one for one in parties_of(mail) if one not in mailbox.own_addresses]
    named = [one for one in (mail.in_reply_to, *mail.references) if one is not None]
    return {
        "identity": mail.identity,
        "message_id": _id(mail.message_id),
        "in_reply_to": _id(mail.in_reply_to),
        "reference_ids": list(dict.fromkeys(_id(one) for one in named)),
        "from_address": mail.from_address and mail.from_address[:MAX_ADDRESS_LENGTH],
        "to_addresses": list(mail.to_addresses[:MAX_ADDRESSES]),
        "cc_addresses": list(mail.cc_addresses[:MAX_ADDRESSES]),
        "others": others,
        "subject": mail.subject if has_subject else None,
        "text": mail.text[:MAX_TEXT_LENGTH] if is_full else None,
        "reply": mail.reply[:MAX_TEXT_LENGTH] if is_full else None,
        "snippet": mail.snippet if is_full else None,
        "sent_at": mail.sent_at and mail.sent_at.isoformat(),
        "received_at": placed.received_at.isoformat(),
        "is_own": mail.from_address is not None and mailbox.is_own(mail.from_address),
        "is_auto_reply": mail.is_auto_reply,
        "is_bounce": mail.is_bounce,
        "malformed": mail.malformed,
        "attachments": [_attachment(one, is_full=is_full) for one in mail.attachments],
        "raw_path": placed.raw_path,
        "content_hash": mail.content_hash,
        "share": mailbox.fields.share,
    }


def _attachment(attachment: Attachment, *, is_full: bool) -> dict[str, Any]:
    """Its name is text of the mail, so only all of it shares the name."""
    shared = asdict(attachment)
    return shared if is_full else {"type": shared["type"], "size": shared["size"]}


def _id(name: str | None) -> str | None:
    return None if name is None else name[:MAX_ID_LENGTH]
