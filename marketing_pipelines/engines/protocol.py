"""The interface of engines, and the dialect of their statements.

A statement reads the relation `events` (columns of `stores.lake.schema` and the layout's `dt` and
`hr`), names its parameters `:like_this`, casts with `CAST`, and uses no function that only one
engine has. `engines/test_statements.py` runs every statement on every engine.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Engine(Protocol):
    """Runs statements over lake files."""

    name: str

    def query(
        self, statement: str, files: Sequence[str], parameters: Mapping[str, Any]
    ) -> "pa.Table":
        """The result of the statement over exactly these files (at least one).

        Raises:
            StoreUnavailableError: a file is missing or cannot be read.
        """
        ...

    def check(self) -> str:
        """Its version, for `doctor`.

        Raises:
            ConfigurationError: something that it needs is missing.
            StoreUnavailableError: its server does not answer.
        """
        ...

    def close(self) -> None:
        """Frees memory and connections."""
        ...
