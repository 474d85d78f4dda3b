"""One synchronization of a mailbox: new mail of each folder, then downwards to the cut-off.

A folder is read in batches. Their mails are chosen by their headers; the chosen ones are read and
stored with their places and the folder's cursor in one transaction. Whatever ends a
synchronization, the next one goes on at the cursor.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from marketing_pipelines.domains.inbox import effects
from marketing_pipelines.domains.inbox.choosing import MailChoice, choose
from marketing_pipelines.domains.inbox.fetched import Listed
from marketing_pipelines.domains.inbox.mailboxes import Mailbox, chosen_folders, sent_folder
from marketing_pipelines.domains.inbox.mails import read_mail
from marketing_pipelines.domains.inbox.obstacles import MailPart, Obstacles
from marketing_pipelines.domains.inbox.raw_files import RawFile, write_raw
from marketing_pipelines.domains.inbox.session import (
    ConnectionLostError,
    Examined,
    ServerBusyError,
    Session,
    UnreadableError,
)
from marketing_pipelines.domains.inbox.storing import (
    Cursor,
    Placed,
    begin_folder,
    cursor_of,
    move_cursor,
    store,
)
from marketing_pipelines.domains.inbox.tokens import token_of
from marketing_pipelines.domains.integrations.http import TimeUsedUpError
from marketing_pipelines.domains.integrations.syncs import Synced, SyncReport, note_backlog
from marketing_pipelines.failures import MarketingPipelinesError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

WHAT = "mail"
# The most of one transaction.
MAX_MAILS = 500
MAX_BYTES = 20_000_000
# The most of one answer of the server.
HEADERS_AT_ONCE = 100
BYTES_AT_ONCE = 4_000_000
# Of larger mails only the header is read.
MAX_MAIL_BYTES = 25_000_000
# After a connection was lost without progress a batch has a quarter of the mails.
SHRINKS_BY = 4
# An attempt that had fewer seconds says nothing about the mail at which it ended.
FAIR_SECONDS = 5.0
# Servers compare days in zones of their own.
MARGIN = dt.timedelta(days=1)

CursorAt = Callable[[int], Cursor]
T = TypeVar("T")
_ENDS = (ConnectionLostError, ServerBusyError, TimeUsedUpError, UnreadableError)


class MailboxReader:
    """Reads one mailbox, over one session after another while they bring something."""

    def __init__(self, tick: Tick, synced: Synced, mailbox: Mailbox) -> None:
        self._tick = tick
        self._synced = synced
        self._mailbox = mailbox
        self._files = FileStore(tick.settings.effective_files_url)
        self._report = SyncReport(counts={"mails_chosen": 0, "mails_unreadable": 0})
        self._obstacles = Obstacles(tick, synced, WHAT)
        self._sent: str | None = None
        self._most = MAX_MAILS
        self._is_in_batch = False
        self._has_moved = False
        self._has_stored = False
        self._left: dict[str, int] = {}
        self._problems: dict[str, str] = {}

    def read(self) -> SyncReport:
        """Reads as many mails as there is time for.

        Raises:
            MarketingPipelinesError: nothing can be read for now, or a folder cannot; what was
                read is stored.
        """
        while True:
            self._is_in_batch = self._has_moved = False
            try:
                self._read_folders()
            except ConnectionLostError:
                if not self._has_moved:
                    self._most //= SHRINKS_BY
                may_go_on = self._has_moved or (self._is_in_batch and self._most)
                if not may_go_on or time.monotonic() >= self._synced.ends_at:
                    raise
            except TimeUsedUpError:
                if not self._has_stored:
                    raise
                break
            else:
                break
        if self._problems:
            raise UnreadableError(" ".join(self._problems.values()))
        self._report.backlog = sum(self._left.values())
        if not self._report.backlog:
            self._report.synced_until = self._tick.instant
        return self._report

    def _read_folders(self) -> None:
        mailbox = self._mailbox
        tokens = token_of(self._tick.settings, mailbox.connection, mailbox.fields)
        with Session(mailbox.fields, tokens, self._synced.ends_at) as session:
            found = session.folders()
            self._sent = sent_folder(found)
            there = {one.name for one in found} | {"INBOX"}
            chosen = chosen_folders(mailbox.fields, found, is_gmail=session.is_gmail)
            for name in chosen:
                if name not in there:
                    self._problems[name] = (
                        f"{session.server} has no folder '{name}': set `folders` of "
                        f"{mailbox.connection.name} again."
                    )
            for read in (self._read_newer, self._read_older):
                for name in chosen:
                    if name not in self._problems:
                        self._read_folder(session, name, read)

    def _read_folder(
        self, session: Session, name: str, read: Callable[[Session, Examined, Cursor], None]
    ) -> None:
        try:
            examined = session.examine(name)
            with self._tick.begin(isolation="read committed") as connection:
                cursor = cursor_of(connection, self._mailbox, name)
            if cursor is None or cursor.uidvalidity != examined.uidvalidity:
                cursor = self._begin(session, examined, name)
            read(session, examined, cursor)
        except UnreadableError as error:
            self._problems[name] = str(error)

    def _begin(self, session: Session, examined: Examined, name: str) -> Cursor:
        """The cursor of a folder that is read from its top."""
        if examined.next_uid is not None:
            top = examined.next_uid - 1
        else:
            top = max(session.search(examined, 1, None, self._since), default=0)
        cursor = Cursor(name, examined.uidvalidity, top, top + 1, is_complete=False)
        with self._tick.begin(isolation="read committed") as connection:
            begin_folder(connection, self._mailbox, cursor)
        return cursor

    def _read_newer(self, session: Session, examined: Examined, cursor: Cursor) -> None:
        top = None if examined.next_uid is None else examined.next_uid - 1
        if top is not None and top <= cursor.highest_uid:
            return
        uids = session.search(examined, cursor.highest_uid + 1, top, self._since)
        self._work_off(session, cursor, uids, lambda uid: replace(cursor, highest_uid=uid))
        reached = max([top or 0, cursor.highest_uid, *uids[-1:]])
        self._move(replace(cursor, highest_uid=reached))

    def _read_older(self, session: Session, examined: Examined, cursor: Cursor) -> None:
        if cursor.is_complete:
            return
        uids: list[int] = []
        if cursor.lowest_uid > 1:
            uids = session.search(examined, 1, cursor.lowest_uid - 1, self._since)[::-1]
        self._work_off(session, cursor, uids, lambda uid: replace(cursor, lowest_uid=uid))
        lowest = min([cursor.lowest_uid, *uids[-1:]])
        self._move(replace(cursor, lowest_uid=lowest, is_complete=True))

    @property
    def _since(self) -> dt.date:
        return (self._mailbox.cut_off_at - MARGIN).date()

    def _move(self, cursor: Cursor) -> None:
        with self._tick.begin(isolation="read committed") as connection:
            move_cursor(connection, self._mailbox, cursor)

    def _work_off(
        self, session: Session, cursor: Cursor, uids: Sequence[int], cursor_at: CursorAt
    ) -> None:
        """Reads and stores mails in the order of their numbers here."""
        self._left[cursor.folder] = len(uids)
        done = 0
        while done < len(uids):
            self._is_in_batch = True
            most = 1 if self._obstacles.is_at(cursor, uids[done]) else self._most
            done += self._read_batch(session, uids[done : done + most], cursor_at)

    def _read_batch(self, session: Session, uids: Sequence[int], cursor_at: CursorAt) -> int:
        """Reads and stores the first of these mails; returns their number.

        A connection that is lost meanwhile, or a refusal of all, ends the batch: what was brought
        is stored first.
        """
        ended: MarketingPipelinesError | None = None
        begun = time.monotonic()
        place = cursor_at(uids[0])
        listed: list[Listed] = []
        reached = 0
        try:
            for start in range(0, len(uids), HEADERS_AT_ONCE):
                part = uids[start : start + HEADERS_AT_ONCE]
                listed += self._listed(session, place, part)
                reached += len(part)
                if sum(len(one.header) for one in listed) > BYTES_AT_ONCE:
                    break
        except _ENDS as error:
            ended = error
        with self._tick.begin(isolation="read committed") as connection:
            choices = choose(connection, self._mailbox, listed)
        placed: list[Placed] = []
        done = size = 0
        for group in _groups(uids[:reached], choices):
            wanted = [uid for uid in group if uid in choices and choices[uid].is_read]
            own = sum(choices[uid].bytes_to_read for uid in wanted)
            if wanted and (ended is not None or (size and size + own > MAX_BYTES)):
                break
            try:
                placed += self._read_group(session, place, group, wanted, choices)
            except _ENDS as error:
                ended = error
                break
            done += len(group)
            size += own
        if done:
            self._store(cursor_at(uids[done - 1]), placed, done)
        if ended is not None:
            if not done:
                self._note_end(place, uids, "body" if reached else "header", ended, begun)
            raise ended
        return done

    def _note_end(
        self,
        place: Cursor,
        uids: Sequence[int],
        part: MailPart,
        ended: MarketingPipelinesError,
        begun: float,
    ) -> None:
        """Notes the first mail of a batch that brought nothing, if that says something about it."""
        if isinstance(ended, TimeUsedUpError):
            is_obstacle = time.monotonic() - begun >= FAIR_SECONDS
        elif isinstance(ended, ConnectionLostError):
            is_obstacle = len(uids) == 1
            if is_obstacle:
                # One further attempt.
                self._most = min(self._most, SHRINKS_BY)
        else:
            is_obstacle = isinstance(ended, UnreadableError)
        if is_obstacle:
            self._obstacles.note(place, uids[0], part)

    def _listed(self, session: Session, place: Cursor, uids: Sequence[int]) -> list[Listed]:
        """Headers of mails that are still there; a sentence in place of those that are refused."""
        given: dict[int, Listed] = {}
        if len(uids) == 1 and self._obstacles.is_passed(place, uids[0], "header"):
            refused = uids
        else:
            given, refused = _read_each(
                lambda some: {one.uid: one for one in session.headers(some)}, uids
            )
        self._report.counts["mails_unreadable"] += len(refused)
        listed = [*given.values(), *(self._unlisted(place, uid) for uid in refused)]
        is_sent = place.folder == self._sent
        return [replace(one, is_sent=True) for one in listed] if is_sent else listed

    def _unlisted(self, place: Cursor, uid: int) -> Listed:
        # The place makes it a mail of its own among all without a header.
        said = (
            f"\r\nThe server does not give this mail: UID {uid}, UIDVALIDITY {place.uidvalidity}, "
            f"folder '{place.folder}' of {self._mailbox.fields.address}.\r\n"
        )
        return Listed(uid, None, 0, False, said.encode(), is_refused=True)

    def _bodies(self, session: Session, place: Cursor, uids: Sequence[int]) -> dict[int, bytes]:
        """Mails as they are, of those that are still there; refused ones are empty."""
        if not uids:
            return {}
        given: dict[int, bytes] = {}
        if len(uids) == 1 and self._obstacles.is_passed(place, uids[0], "body"):
            refused = uids
        else:
            given, refused = _read_each(session.bodies, uids)
        self._report.counts["mails_unreadable"] += len(refused)
        return given | dict.fromkeys(refused, b"")

    def _read_group(
        self,
        session: Session,
        place: Cursor,
        group: Sequence[int],
        wanted: Sequence[int],
        choices: Mapping[int, MailChoice],
    ) -> list[Placed]:
        listed = [choices[uid].listed for uid in wanted]
        asked = [one.uid for one in listed if one.size <= MAX_MAIL_BYTES and not one.is_refused]
        bodies = dict.fromkeys(set(wanted).difference(asked), b"")
        bodies |= self._bodies(session, place, asked)
        placed, files = list[Placed](), list[RawFile]()
        for uid in group:
            if uid not in choices:
                continue  # it is gone, or arrived before the cut-off
            choice = choices[uid]
            received_at = choice.listed.received_at or self._tick.instant
            if choice.is_read:
                # One that is gone by now may lie elsewhere, where it is read whole.
                if uid in bodies:
                    # One that is too large or refused is stored by its header.
                    raw = bodies.pop(uid) or choice.listed.header
                    placed.append(self._placed(choice, uid, received_at, raw, files))
            else:
                identity = choice.header.identity if choice.is_stored else None
                placed.append(Placed(uid, received_at, identity))
        write_raw(self._tick, self._files, files)
        return placed

    def _placed(
        self,
        choice: MailChoice,
        uid: int,
        received_at: dt.datetime,
        raw: bytes,
        files: list[RawFile],
    ) -> Placed:
        mail = read_mail(raw)
        if choice.is_only_report and not mail.is_bounce:
            return Placed(uid, received_at, None)
        path = None
        if self._mailbox.keeps_raw(received_at, self._tick.instant):
            files.append(RawFile(self._mailbox.organization_id, mail, raw))
            path = files[-1].path
        return Placed(uid, received_at, mail.identity, mail, path, choice.listed.is_sent)

    def _store(self, cursor: Cursor, placed: Sequence[Placed], done: int) -> None:
        self._left[cursor.folder] -= done
        with self._tick.begin(isolation="read committed") as connection:
            stored = store(connection, self._mailbox, cursor, placed)
            effects.apply(
                connection,
                stored,
                organization_id=self._mailbox.organization_id,
                owner_id=self._mailbox.owner_id,
                owner_address=self._mailbox.fields.address,
                connected_at=self._mailbox.connected_at,
                now=self._tick.instant,
                settings=self._tick.settings,
            )
            note_backlog(connection, self._synced, WHAT, sum(self._left.values()))
        self._has_moved = self._has_stored = True
        self._report.rows += len(stored.new)
        self._report.counts["mails_chosen"] += sum(one.mail is not None for one in placed)


def _read_each(
    ask: Callable[[Sequence[int]], dict[int, T]], uids: Sequence[int]
) -> tuple[dict[int, T], Sequence[int]]:
    """Reads mails at once, or each by itself where the server refuses; returns the refused too.

    Raises:
        UnreadableError: it gives none of them, so that it may be the server and not the mails.
    """
    try:
        return ask(uids), []
    except UnreadableError:
        if len(uids) == 1:
            raise
    given: dict[int, T] = {}
    refused: dict[int, UnreadableError] = {}
    for uid in uids:
        try:
            given |= ask([uid])
        except UnreadableError as error:
            refused[uid] = error
    if refused and not given:
        raise next(iter(refused.values()))
    return given, list(refused)


def _groups(uids: Sequence[int], choices: Mapping[int, MailChoice]) -> Iterator[list[int]]:
    """The mails in their order, in groups that one answer of the server may hold.

    Those before the first that is read are a group: a failure of that one does not touch them.
    """
    group: list[int] = []
    size = 0
    for uid in uids:
        own = choices[uid].bytes_to_read if uid in choices else 0
        if group and own and (not size or size + own > BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(uid)
        size += own
    if group:
        yield group
