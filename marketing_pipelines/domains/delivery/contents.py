"""What messages say: each wording is stored once and never changes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import sqlalchemy as sa

K = TypeVar("K")


def store(
    connection: sa.Connection, wanted: Mapping[K, tuple[int, Mapping[str, Any]]]
) -> dict[K, int]:
    """Stores contents and returns their numbers.

    Args:
        wanted: Organization and content, by whatever key the caller likes.
    """
    found = {}
    for key, (organization_id, content) in wanted.items():
        written = json.dumps(content, sort_keys=True)
        values = {
            "organization_id": organization_id,
            "digest": hashlib.sha256(written.encode()).hexdigest(),
            "content": written,
        }
        connection.execute(_INSERT, values)
        found[key] = connection.execute(_FIND, values).scalar_one()
    return found


_INSERT = sa.text(
    "insert into delivery.contents (organization_id, digest, content)"
    " values (:organization_id, :digest, cast(:content as jsonb)) on conflict do nothing"
)
_FIND = sa.text(
    "select id from delivery.contents where organization_id = :organization_id and digest = :digest"
)
