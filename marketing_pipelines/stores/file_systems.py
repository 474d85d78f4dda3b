"""Folders and object stores, opened by their URL."""

from dataclasses import dataclass
from typing import Any

from marketing_pipelines.failures import ConfigurationError


@dataclass(frozen=True)
class FileSystem:
    """The place that a URL names.

    Attributes:
        client: The fsspec file system.
        root: The URL's path as the file system names it, without a slash at its end.
        is_local: True if it is a folder of this machine.
    """

    client: Any
    root: str
    is_local: bool


def open_file_system(url: str, setting: str) -> FileSystem:
    """Opens a folder or an fsspec URL; touches nothing there.

    Args:
        setting: The variable that holds the URL, for the error.

    Raises:
        ConfigurationError: no installed package knows its protocol.
    """
    from fsspec.core import url_to_fs

    try:
        client, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"{setting} {url} cannot be opened ({error}): install the package of its protocol "
            "(s3fs, gcsfs, adlfs), or name a folder."
        ) from error
    protocols = (client.protocol,) if isinstance(client.protocol, str) else client.protocol
    return FileSystem(client, str(root).rstrip("/"), "file" in protocols)
