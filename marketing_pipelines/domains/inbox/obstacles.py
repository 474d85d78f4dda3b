"""Mails at which reading a folder ends: tried at each tick for an hour, then passed.

A server with troubles of its own refuses or drops any mail, and gives it later; one mail that it
can never give must not hide those behind it. The first mail that is not read is remembered for each
folder, with the standing of the mailbox.
"""

import datetime as dt
from typing import Any, Literal

from marketing_pipelines.domains.inbox.storing import Cursor
from marketing_pipelines.domains.integrations.syncs import Synced, keep_page
from marketing_pipelines.runs.tick import Tick

LASTS_AFTER = dt.timedelta(hours=1)

MailPart = Literal["header", "body"]


class Obstacles:
    """The obstacles of one mailbox.

    Args:
        what: The rows of its standing.
    """

    def __init__(self, tick: Tick, synced: Synced, what: str) -> None:
        self._tick = tick
        self._synced = synced
        self._what = what
        self._known: dict[str, Any] = dict(synced.pages)

    def is_at(self, cursor: Cursor, uid: int) -> bool:
        """Returns true if the latest attempt ended at this mail, so that it is read by itself."""
        return self._found(cursor, uid) is not None

    def is_passed(self, cursor: Cursor, uid: int, part: MailPart) -> bool:
        """Returns true if a part of the mail was not given for an hour, and is not asked for."""
        found = self._found(cursor, uid)
        if found is None or found["part"] != part:
            return False
        since, until = (dt.datetime.fromisoformat(found[name]) for name in ("since", "until"))
        return until - since >= LASTS_AFTER

    def note(self, cursor: Cursor, uid: int, part: MailPart) -> None:
        """Notes that this tick ended at a mail without its header or body."""
        now = self._tick.instant.isoformat()
        found = self._found(cursor, uid)
        since = found["since"] if found is not None and found["part"] == part else now
        page = _page(cursor)
        self._known[page] = {
            "uidvalidity": cursor.uidvalidity,
            "uid": uid,
            "part": part,
            "since": since,
            "until": now,
        }
        with self._tick.begin(isolation="read committed") as connection:
            keep_page(connection, self._synced, self._what, page, self._known[page])

    def _found(self, cursor: Cursor, uid: int) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._known.get(_page(cursor))
        if found is None or (found["uidvalidity"], found["uid"]) != (cursor.uidvalidity, uid):
            return None
        return found


def _page(cursor: Cursor) -> str:
    return f"folder {cursor.folder}"
