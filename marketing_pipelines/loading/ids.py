"""External ids that their sender probably did not mean, and rows that share one."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from marketing_pipelines.loading.remarks import Remark

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MAX_KEYS = 5_000_000
_ROUNDED = r"^[+-]?\d([.,]\d+)?[eE]\+\d\d$"
_LAST_BLANK = 0x20


def odd_ids(rows: "pa.Table", columns: Iterable[str]) -> list[Remark]:
    """Ids with a blank at an end, and ids in the notation of rounded numbers (`4.49654E+07`).

    The bytes at the ends of all ids are looked at together; a regular expression for each id would
    cost a tenth of a load.
    """
    remarks = []
    for name in columns:
        column = rows[name].combine_chunks()
        blank, rounded = _odd(column)
        for odd, text in (
            (blank, "begins or ends with a blank, which is part of the id"),
            (
                rounded,
                "looks like a number that a spreadsheet or a float rounded: write ids as text",
            ),
        ):
            if len(odd):
                first = int(odd[0])
                line, value = rows["line"][first].as_py(), column[first].as_py()
                remarks.append(Remark(line, name, f"'{value[:60]}' {text}", len(odd)))
    return remarks


def _odd(
    column: "pa.StringArray",
) -> tuple[
    "np.ndarray[tuple[int], np.dtype[np.int64]]", "np.ndarray[tuple[int], np.dtype[np.int64]]"
]:
    """The positions of ids with blanks and of rounded ones."""
    import numpy as np
    import pyarrow.compute as pc

    _, offsets_buffer, data_buffer = column.buffers()
    if not len(column) or data_buffer is None or not data_buffer.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    data = np.frombuffer(data_buffer, np.uint8)
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset :][: len(column) + 1]
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    first, last = offsets[:-1][filled], offsets[1:][filled] - 1
    blank = filled[(data[first] <= _LAST_BLANK) | (data[last] <= _LAST_BLANK)]
    perhaps = filled[data[np.maximum(last - 2, first)] == ord("+")]
    if len(perhaps):
        matches = pc.match_substring_regex(column.take(perhaps), _ROUNDED)
        perhaps = perhaps[matches.to_numpy(zero_copy_only=False)]
    return blank, perhaps


class KeysSeen:
    """The keys of the rows of one file, by their hashes; at most `MAX_KEYS` of them."""

    def __init__(self) -> None:
        import numpy as np

        self._hashes = np.zeros(0, np.uint64)

    def seen(
        self, hashes: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
    ) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Marks the keys that an earlier call had; keeps all of them."""
        import numpy as np

        at = np.searchsorted(self._hashes, hashes)
        known = np.zeros(len(hashes), np.bool_)
        within = at < len(self._hashes)
        known[within] = self._hashes[at[within]] == hashes[within]
        if len(self._hashes) < MAX_KEYS:
            self._hashes = np.union1d(self._hashes, hashes)
        return known
