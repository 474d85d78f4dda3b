"""Contents of messages, each stored once: an edited step adds a content and keeps the old one."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.delivery.tables import contents

K = TypeVar("K")
# A content that was used so recently is not written again.
USED_WITHIN = dt.timedelta(hours=1)


def store(
    connection: sa.Connection, wanted: Mapping[K, tuple[int, Mapping[str, Any]]]
) -> dict[K, int]:
    """Writes contents that are not there yet, and notes that the others are used again.

    Retention counts from the latest use: a content whose messages are written now is not old.

    Args:
        wanted: The organization and the content of each, by a key of the caller's own.

    Returns:
        The numbers of the contents, by the same keys.
    """
    digests = {
        key: (organization, _digest(content)) for key, (organization, content) in wanted.items()
    }
    if not digests:
        return {}
    # In one order for all writers, so that two that write the same do not wait for each other.
    rows = {digests[key]: content for key, (_, content) in wanted.items()}
    insert = pg.insert(contents)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["organization_id", "digest"],
            set_={"used_at": sa.func.now()},
            where=contents.c.used_at < sa.func.now() - USED_WITHIN,
        ),
        [
            {"organization_id": organization, "digest": digest, "content": dict(content)}
            for (organization, digest), content in sorted(rows.items(), key=lambda row: row[0])
        ],
    )
    known = connection.execute(
        sa.select(contents.c.organization_id, contents.c.digest, contents.c.id).where(
            contents.c.organization_id.in_({organization for organization, _ in rows}),
            contents.c.digest.in_({digest for _, digest in rows}),
        )
    )
    numbers = {(row.organization_id, row.digest): row.id for row in known}
    return {key: numbers[digest] for key, digest in digests.items()}


def _digest(content: Mapping[str, Any]) -> str:
    """The same for the same content, however its keys are ordered."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
