"""The keys that sign and encrypt: `MARKETING_SECRET_KEY`, or one kept in the data folder."""

import base64
import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


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


def fernets(settings: Settings, purpose: str) -> "list[Fernet]":
    """The ciphers of a purpose: the present key's first, then those of former keys, newest first.

    Raises:
        ConfigurationError: production without `MARKETING_SECRET_KEY`.
    """
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if settings.env == "production" and settings.secret_key is None:
        raise ConfigurationError(
            "MARKETING_SECRET_KEY is not set: in production the secrets in the database are "
            "encrypted with it."
        )
    return [
        Fernet(
            base64.urlsafe_b64encode(
                HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(
                    key.encode()
                )
            )
        )
        for key in reversed(signing_keys(settings))
    ]


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
