"""`jobs.toml` in the data folder: the document, and the sentence that names the line of a mistake.

Its tables are named after a job (`policies`) or after a part of the installation
(`installation_settings`). Processes read `jobs.active.toml`, a copy that `up` and `config apply`
make once the whole file is valid, so that a mistake in an edited file changes nothing that runs.
"""

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import get_settings

M = TypeVar("M", bound=BaseModel)


class _Reading:
    """The file that this process reads, and the work before its first look."""

    edited = False
    before: Callable[[], None] | None = None


def active() -> Path:
    """The copy that processes read."""
    return get_settings().jobs_file.with_name("jobs.active.toml")


def current() -> Path:
    """The file that holds for this process: the copy, or `jobs.toml` where there is none yet."""
    before, _Reading.before = _Reading.before, None
    if before is not None:
        before()
    settings = get_settings()
    is_copied = active().is_file() and not _Reading.edited
    return active() if is_copied else settings.jobs_file


def read_edited() -> None:
    """Lets this process read `jobs.toml` itself, to validate it."""
    _Reading.edited, _Reading.before = True, None


def before_reading(work: Callable[[], None]) -> None:
    """Does this work before the process looks at the file for the first time."""
    _Reading.before = work


def is_applied() -> bool:
    """Returns true if the copy equals `jobs.toml`, or if there is neither."""
    settings = get_settings()
    return content(settings.jobs_file) == content(active())


def content(file: Path) -> bytes | None:
    """The content of a file; None: there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def apply() -> None:
    """Moves a copy of `jobs.toml` into place; without the file, removes the copy."""
    settings = get_settings()
    edited = content(settings.jobs_file)
    if edited is None:
        active().unlink(missing_ok=True)
        return
    temporary = active().with_suffix(f".{os.getpid()}")
    temporary.write_bytes(edited)
    temporary.replace(active())


@cache
def document(path: Path) -> Mapping[str, Any]:
    """The tables of the file; none without such a file.

    Raises:
        ConfigurationError: it is not TOML.
    """
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.") from error


def validated(path: Path, table: str, values: Any, model: type[M], example: str) -> M:
    """The values of a table as its model.

    Args:
        example: A header of a table, for the sentence on a value that stands outside of any.

    Raises:
        ConfigurationError: they cannot be used; the sentence names the line.
    """
    if not isinstance(values, dict):
        refuse(path, None, table, f"'{table}' must stand below the job it changes, as in {example}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            reason = f"there is no key '{key}', only {', '.join(model.model_fields)}"
        else:
            place = f"{key}: " if key else ""
            reason = f"{place}{first['msg'].removeprefix('Value error, ')}"
        refuse(path, table, key, reason)


def refuse(path: Path, table: str | None, key: str | None, reason: str) -> NoReturn:
    """Refuses the file.

    Args:
        table: Table of the mistake; None: it stands above all tables.

    Raises:
        ConfigurationError: always, with the line.
    """
    line = _line_of(path.read_text(encoding="utf-8").splitlines(), table, key)
    raise ConfigurationError(f"{path} line {line} cannot be used: {reason}.")


def _line_of(lines: Collection[str], table: str | None, key: str | None) -> int:
    """The line of a key below a table's header, or of the header itself."""
    inside = table is None
    header = 1
    for number, line in enumerate(lines, start=1):
        if found := re.match(r"\s*\[+([^]]*)]", line):
            name = re.sub(r"""["'\s]""", "", found[1])
            inside = table is not None and f"{name}.".startswith(f"{table}.")
            header = number if inside else header
        elif inside and key and re.match(rf"""\s*(["']?){re.escape(key)}\1\s*[.=]""", line):
            return number
    return header
