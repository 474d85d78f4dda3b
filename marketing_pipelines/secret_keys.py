"""The keys that sign cookies and links: `MARKETING_SECRET_KEY`, or one kept in the data folder."""

import contextlib
import os
import secrets
from pathlib import Path

from marketing_pipelines.settings import Settings


def secret_key(settings: Settings) -> str:
    """`MARKETING_SECRET_KEY`, or the one kept in the data folder, made at first use."""
    if settings.secret_key is not None:
        return settings.secret_key
    path = settings.data_dir / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii")


def signing_keys(settings: Settings) -> list[str]:
    """The keys whose signatures are valid, oldest first; the last one signs."""
    return [*settings.earlier_secret_keys, secret_key(settings)]


def _write_once(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only; of two at once the first stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
