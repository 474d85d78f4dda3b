"""The rows that a load refused: `line,column,reason` of each, in a file or in memory."""

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.remarks import Tally
from marketing_pipelines.loading.results import Reject

HEADER = ("line", "column", "reason")
MAX_REASON_LENGTH = 500


class Rejects(Protocol):
    """A place for the rows that a load refuses.

    Attributes:
        path: The file that holds them; None: they are in memory.
        count: How many there are.
        causes: Their reasons.
    """

    path: Path | None
    count: int
    causes: Tally

    def add(self, rejects: Iterable[Reject]) -> None:
        """Appends rows."""
        ...


class RejectsList:
    """Collects rejects in memory."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.rows: list[Reject] = []
        self.causes = Tally()
        self.count = 0

    def add(self, rejects: Iterable[Reject]) -> None:
        """Appends the rejects."""
        rejects = [one._replace(reason=one.reason[:MAX_REASON_LENGTH]) for one in rejects]
        self.causes.add_rejects(rejects)
        self.count += len(rejects)
        self.rows += rejects


class RejectsFile:
    """Collects rejects on disk; the file exists only if there are any.

    An earlier rejects file of the same name is replaced, or removed when nothing is refused.

    Raises:
        BadInputError: the file cannot be written, or another kind of file has its name.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self._path = path
        self.count = 0
        self.causes = Tally()
        self._file: TextIO | None = None
        _refuse_another_file(path)

    def __enter__(self) -> "RejectsFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        elif error is None:
            self._path.unlink(missing_ok=True)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Appends the rejects."""
        rejects = list(rejects)
        self.causes.add_rejects(rejects)
        for reject in rejects:
            if self._file is None:
                self._file = self._create()
            csv.writer(self._file, lineterminator="\n").writerow(
                (reject.line, reject.column, reject.reason[:MAX_REASON_LENGTH])
            )
            self.count += 1

    def _create(self) -> TextIO:
        try:
            file = self._path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise BadInputError(
                f"The rejects file {self._path} cannot be written ({error.strerror}): "
                "name another one with --rejects."
            ) from error
        csv.writer(file, lineterminator="\n").writerow(HEADER)
        return file


def default_rejects_path(path: Path) -> Path:
    """Next to the input: `events.csv` → `events.csv.rejects.csv`."""
    return path.with_name(path.name + ".rejects.csv")


def _refuse_another_file(path: Path) -> None:
    if path.is_dir():
        raise BadInputError(f"{path} is a folder: name a file with --rejects.")
    if not path.exists() or path.stat().st_size == 0:
        return
    header = ",".join(HEADER).encode()
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            raise BadInputError(
                f"{path} exists and is not a rejects file: name another one with --rejects."
            )
