"""Files that name a person: those about it go, those about many lose its lines.

Looked for by the person's names, so done again it finds only what came since.
"""

import contextlib
import json
import mmap
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.campaigns.reports import safe_name
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.delivery.tables import messages
from marketing_pipelines.domains.upkeep.erasing.rows import Names
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import TEMPORARY_PREFIX, FileStore
from marketing_pipelines.stores.persons import Identity


def remove_files(engine: sa.Engine, settings: Settings, person: Identity) -> Counter[str]:
    """Removes the organization's files that name the person, and its lines from the others.

    Lines of logs say no organization: those with an address of the person go.

    Returns:
        Numbers of files by kind.
    """
    names = Names.of(person)
    addresses, telling = _pattern(names.addresses), _pattern(names.telling)
    with engine.connect() as connection:
        organization = connection.execute(
            sa.select(organizations.c.external_id).where(
                organizations.c.id == person.organization_id
            )
        ).scalar_one()
        unwanted = [
            ("messages of the outbox", path)
            for path in _of_outbox(connection, settings.outbox_folder, person, names)
        ]
    done: Counter[str] = Counter()
    for kind, path in unwanted:
        path.unlink(missing_ok=True)
        done[kind] += 1
    # Those of the data folder may have been copied to `MARKETING_FILES_URL` and have stayed.
    in_data_folder = FileStore(str(settings.data_dir / "reports"))
    stores = {store.url: store for store in (FileStore.of_reports(settings), in_data_folder)}
    for store in stores.values():
        if number := _remove_reports(store, safe_name(organization), telling):
            done["reports"] += number
    lifts = names.addresses and rf'^"?{re.escape(organization)}"?,.*{names.addresses}'
    for kind, name, pattern in (
        ("logs", "logs", addresses),
        ("files of suppressions", "suppressions", _pattern(lifts)),
    ):
        for path in _naming(settings.data_dir / name, pattern):
            assert pattern is not None
            _drop_lines(path, pattern)
            done[kind] += 1
    return done


def _remove_reports(files: FileStore, organization: str, pattern: re.Pattern[bytes] | None) -> int:
    """Removes the reports of an organization in which the pattern is; returns how many."""
    if files.folder is not None:
        # Unfinished ones, too.
        found = [
            path
            for folder in files.folder.glob(f"*/{organization}")
            for path in _naming(folder, pattern)
        ]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)
    if pattern is None:
        return 0
    number = 0
    for report in files.files():
        with contextlib.suppress(FileNotFoundError):
            if report.path.split("/")[1:2] == [organization] and pattern.search(
                files.read(report.path)
            ):
                files.remove(report.path)
                number += 1
    return number


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


def _pattern(text: str | None) -> re.Pattern[bytes] | None:
    """The pattern of a text in bytes, in any case of letters."""
    if text is None:
        return None
    folded = "".join(one if one.isascii() else _in_any_case(one) for one in text)
    return re.compile(folded.encode(), re.IGNORECASE | re.MULTILINE)


def _in_any_case(letter: str) -> str:
    """A letter beyond ASCII in both cases, as UTF-8 and as JSON escapes it.

    Patterns of bytes fold the case of ASCII only.
    """
    cases = sorted({letter, letter.lower(), letter.upper()})
    escaped = {re.escape(json.dumps(one)[1:-1]) for one in cases}
    return f"(?:{'|'.join([*cases, *sorted(escaped)])})"


def _of_outbox(
    connection: sa.Connection, folder: Path, person: Identity, names: Names
) -> list[Path]:
    """The person's messages, those of its organization that name it, and unfinished ones."""
    unfinished = folder / ".writing"
    numbers = {
        path: int(path.stem)
        for path in folder.rglob("*")
        if path.stem.isdecimal() and path.parent != unfinished
    }
    telling, full = (
        {numbers[path] for path in _naming(folder, _pattern(text)) if path in numbers}
        for text in (names.telling, names.all)
    )
    found = connection.execute(
        sa.select(messages.c.id).where(
            messages.c.organization_id == person.organization_id,
            messages.c.id == sa.any_(_array(numbers.values())),
            sa.or_(
                messages.c.contact_id == sa.any_(_array(person.contact_ids)),
                messages.c.id == sa.any_(_array(telling)),
                sa.and_(messages.c.contact_id.is_(None), messages.c.id == sa.any_(_array(full))),
            ),
        )
    )
    own = set(found.scalars())
    return [
        *(path for path, number in numbers.items() if number in own),
        *_naming(unfinished, _pattern(names.addresses)),
    ]


def _array(numbers: Iterable[int]) -> sa.ColumnElement[Any]:
    return sa.literal(sorted(numbers), pg.ARRAY(sa.BigInteger))


def _naming(folder: Path, pattern: re.Pattern[bytes] | None) -> Iterator[Path]:
    """The files below a folder in which the pattern is."""
    if pattern is None:
        return
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
