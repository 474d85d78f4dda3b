"""Files that name a person: those about it go, those about many lose its lines.

Looked for by the person's names, so done again it finds only what came since.
"""

import contextlib
import mmap
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from marketing_pipelines.domains.upkeep.erasing.rows import pattern_of
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore
from marketing_pipelines.stores.persons import Identity


def remove_files(settings: Settings, person: Identity) -> Counter[str]:
    """Removes the files of this machine that name the person, and its lines from the others.

    Returns:
        Numbers of files by kind.
    """
    done: Counter[str] = Counter()
    text = pattern_of(person)
    if text is None:
        return done
    pattern = re.compile(text.encode(), re.IGNORECASE)
    for kind, folder in (
        ("messages of the outbox", settings.outbox_folder),
        ("reports", settings.reports_folder),
    ):
        for path in _naming(folder, pattern):
            path.unlink(missing_ok=True)
            done[kind] += 1
    for kind, name in (("logs", "logs"), ("files of suppressions", "suppressions")):
        for path in _naming(settings.data_dir / name, pattern):
            _drop_lines(path, pattern)
            done[kind] += 1
    return done


def remove_stored(settings: Settings, paths: Iterable[str]) -> int:
    """Removes files at `MARKETING_FILES_URL`; returns how many.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    store = FileStore(settings.effective_files_url)
    number = 0
    for path in paths:
        store.remove(path)
        number += 1
    return number


def _naming(folder: Path, pattern: re.Pattern[bytes]) -> Iterator[Path]:
    """The files below a folder in which the pattern is."""
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if path.is_symlink() or not path.is_file() or not path.stat().st_size:
                continue
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                is_found = pattern.search(content) is not None
            if is_found:
                yield path


def _drop_lines(path: Path, pattern: re.Pattern[bytes]) -> None:
    """Writes a file again without the lines that the pattern is in, with the same rights."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with open(handle, "wb") as target, path.open("rb") as source:
            os.fchmod(target.fileno(), path.stat().st_mode & 0o777)
            target.writelines(line for line in source if not pattern.search(line))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
