"""The settings that a running `up` works with, noted in the data folder for `doctor` to compare."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from marketing_pipelines.settings import Settings


@dataclass(frozen=True)
class RunningUp:
    """A running `up`.

    Attributes:
        differs: Variables that hold something else than in this shell.
    """

    pid: int
    differs: list[str]


@contextlib.contextmanager
def noted(settings: Settings) -> Iterator[None]:
    """Keeps the note of this process for as long as it works."""
    path = _path(settings)
    path.touch(mode=0o600)
    path.chmod(0o600)
    note = {"pid": os.getpid(), "started": _started(os.getpid()), "settings": _digests(settings)}
    path.write_text(json.dumps(note))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def found(settings: Settings) -> RunningUp | None:
    """The `up` that keeps this data folder running; None where none does."""
    try:
        note = json.loads(_path(settings).read_text())
        pid, started, digests = note["pid"], note["started"], note["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if _started(pid) != started:
        return None
    own = _digests(settings)
    names = sorted(name for name in own if own[name] != digests.get(name))
    return RunningUp(pid, [f"MARKETING_{name.upper()}" for name in names])


def _path(settings: Settings) -> Path:
    return settings.data_dir / "up.json"


def _started(pid: int) -> float | None:
    """Returns the start of a process, which tells it from a later one of the same number."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _digests(settings: Settings) -> dict[str, str]:
    """Settings may be secrets: only whether they are equal is kept."""
    return {
        name: hashlib.sha256(repr(getattr(settings, name)).encode()).hexdigest()
        for name in type(settings).model_fields
    }
