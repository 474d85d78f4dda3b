"""The interface of engines, and the dialect of their statements.

A statement reads the relation `events` (columns of `stores.lake.schema` and the layout's `dt` and
`hr`), names its parameters `:like_this`, casts with `CAST`, and uses no function that only one
engine has. `tests` run every statement on every engine that is installed.
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

    def close(self) -> None:
        """Frees memory and connections."""
        ...
