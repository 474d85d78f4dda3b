"""The block that `db start` keeps in the checkout's `.env` for Dagster's own commands.

The block describes one installation while its server is kept running. Our own commands skip it:
their settings come from the environment and from the lines that people write.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from marketing_pipelines.failures import ConfigurationError

BEGIN = "# >>> marketing-pipelines db start: for Dagster's own commands, until `db stop`"
END = "# <<< marketing-pipelines db start"
_BLOCK = re.compile(f"^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", re.MULTILINE | re.DOTALL)


def write_block(path: Path, variables: Mapping[str, str]) -> None:
    """Replaces the whole block; the other lines stay as they are.

    Raises:
        ConfigurationError: the file cannot be written, or a value cannot be.
    """
    lines = [f"{name}={_quoted(name, value)}" for name, value in variables.items()]
    _replace(path, "\n".join([*_own_lines(path), BEGIN, *lines, END]) + "\n")


def remove_block(path: Path) -> None:
    """Removes the block, and the file if nothing else is in it."""
    if not path.is_file() or not _BLOCK.search(path.read_text(encoding="utf-8")):
        return
    if kept := _own_lines(path):
        _replace(path, "\n".join(kept) + "\n")
        return
    with _unwritable_said(path):
        path.unlink()


def require_writable(path: Path) -> None:
    """Refuses a file that `write_block` could not replace.

    Raises:
        ConfigurationError: the folder is read-only, or the file is none.
    """
    with _unwritable_said(path):
        if path.exists():
            with path.open("r+b"):
                pass
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def without_block(text: str) -> str:
    """The text of a `.env` file as people wrote it."""
    return _BLOCK.sub("", text)


def _own_lines(path: Path) -> list[str]:
    return without_block(path.read_text(encoding="utf-8")).splitlines() if path.is_file() else []


def _quoted(name: str, value: str) -> str:
    """The value as python-dotenv reads it back; it has no escape for `${`."""
    if "${" in value:
        raise ConfigurationError(
            f"{name} contains '${{', which a .env file cannot hold: choose another value."
        )
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _replace(path: Path, text: str) -> None:
    with _unwritable_said(path):
        handle, name = tempfile.mkstemp(prefix=".env.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _unwritable_said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror}), and Dagster's own commands read their "
            "settings there: make the checkout writable, or use `marketing-pipelines up`, which "
            "needs no such file."
        ) from error
