"""Mailboxes that are read at each tick, and the check of one."""

import datetime as dt
from collections.abc import Sequence
from functools import partial

from marketing_pipelines.domains.inbox.mailboxes import (
    chosen_folders,
    open_mailbox,
    sent_folder,
)
from marketing_pipelines.domains.inbox.raw_files import remove_unnamed
from marketing_pipelines.domains.inbox.reader import WHAT, MailboxReader
from marketing_pipelines.domains.inbox.session import DoubtfulLoginError, Session
from marketing_pipelines.domains.inbox.tokens import token_of
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import BETWEEN_REFUSALS
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
)
from marketing_pipelines.domains.integrations.providers import IMAP, ImapFields
from marketing_pipelines.domains.integrations.syncs import (
    PACING,
    Pacing,
    Synced,
    SyncReport,
    keep_page,
    sync_each,
)
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import FileStore

# Four of the five minutes of a tick.
TIME_FOR_CALLS = 0.8
_LOGIN = "login"


def synchronize(tick: Tick, pacing: Pacing = PACING) -> None:
    """Reads every mailbox, after raw mail that earlier runs left without a row is removed."""
    remove_unnamed(tick, FileStore(tick.settings.effective_files_url))
    sync_each(tick, IMAP, WHAT, partial(_read, tick), pacing, time_for_calls=TIME_FOR_CALLS)


def check(settings: Settings, connection: Connection) -> str:
    """Logs in, and names the folders that are read and the others.

    Raises:
        MarketingPipelinesError: the server does not answer as it should.
    """
    fields: ImapFields = connection.fields(settings)
    with Session(fields, token_of(settings, connection, fields)) as session:
        found = session.folders()
        is_gmail = session.is_gmail
        chosen = chosen_folders(fields, found, is_gmail=is_gmail)
    names = [one.name for one in found]
    missing = [name for name in chosen if name not in names]
    if missing:
        raise BadInputError(
            f"{connection.name} names folders that the server does not have: {_listed(missing)}; "
            f"it has {_listed(names)}."
        )
    others = [name for name in names if name not in chosen]
    told = f"it reads {_listed(chosen)}" + (f", and not {_listed(others)}" if others else "")
    if fields.contacts != "existing" and not is_gmail and sent_folder(found) not in chosen:
        told += (
            "; it makes no contacts of those the owner writes to, since none of these is the folder"
            " of sent mail"
        )
    return told


def _read(tick: Tick, synced: Synced) -> SyncReport:
    with tick.begin(isolation="read committed") as connection:
        mailbox = open_mailbox(
            connection,
            tick.settings,
            synced.connection,
            tick.instant,
        )
    try:
        return MailboxReader(tick, synced, mailbox).read()
    except DoubtfulLoginError as error:
        raise _judged(tick, synced, str(error)) from error


def _judged(tick: Tick, synced: Synced, text: str) -> LoginRefusedError | ServiceUnavailableError:
    """The error of a doubtful login: the second one, ten minutes later, is a refusal."""
    own, page = synced.connection, synced.pages.get(_LOGIN)
    since = None if page is None else dt.datetime.fromisoformat(page["refused_at"])
    # A change by a person or a success since then begins anew.
    if own.state != "failing" or (since and own.last_ok_at and own.last_ok_at >= since):
        since = None
    if since is not None and tick.instant - since >= BETWEEN_REFUSALS:
        return LoginRefusedError(text)
    if since is None:
        with tick.begin(isolation="read committed") as connection:
            keep_page(connection, synced, WHAT, _LOGIN, {"refused_at": tick.instant.isoformat()})
    return ServiceUnavailableError(text, wait=BETWEEN_REFUSALS)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
