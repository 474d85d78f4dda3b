"""Calls without a valid token: past the first of each minute they share one entry of the audit log.

Each API process counts for itself, so that a flood of guesses fills neither the log nor its memory.
"""

import datetime as dt
import threading

ENTRIES_OF_ADDRESS = 20
ENTRIES_OF_ALL = 200


class Strangers:
    """The entries of the running minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute: dt.datetime | None = None
        self._entries: dict[str, int] = {}
        self._total = 0
        self._shared: dict[str, int] = {}

    def shared_entry(self, address: str, now: dt.datetime) -> int | None:
        """The entry that counts one more call of this address; None: the call gets its own."""
        with self._lock:
            self._begin(now)
            return self._shared.get(self._key(address))

    def noted(self, address: str, entry: int, now: dt.datetime) -> None:
        """Counts an entry; the last one that an address may have becomes its shared one."""
        with self._lock:
            self._begin(now)
            self._total += 1
            self._entries[address] = self._entries.get(address, 0) + 1
            if self._total >= ENTRIES_OF_ALL:
                self._shared.setdefault("", entry)
            elif self._entries[address] >= ENTRIES_OF_ADDRESS:
                self._shared.setdefault(address, entry)

    def _key(self, address: str) -> str:
        return address if address in self._shared or "" not in self._shared else ""

    def _begin(self, now: dt.datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._total = minute, 0
            self._entries.clear()
            self._shared.clear()
