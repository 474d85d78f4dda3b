"""Fills in the drafts of an endpoint: bodies of steps, with the fields of their contacts.

A step writes a draft where its body has templates, with the fields as they are then; from its
filling in on, the body of a delivery does not change between its attempts.
"""

import datetime as dt
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.delivery.rendering import MessageError, fill_in_body
from marketing_pipelines.domains.webhooks.tables import deliveries


def has_drafts(connection: sa.Connection, endpoint_id: int) -> bool:
    """Returns true if the endpoint has drafts."""
    is_there = sa.exists().where(
        deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "draft"
    )
    return bool(connection.execute(sa.select(is_there)).scalar_one())


def fill_in_drafts(
    connection: sa.Connection, endpoint_id: int, now: dt.datetime, limit: int
) -> None:
    """Makes the oldest drafts of an endpoint deliveries that wait, or that failed."""
    drafts = connection.execute(
        sa.select(deliveries.c.id, deliveries.c.data, deliveries.c.fields)
        .where(deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "draft")
        .order_by(deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if drafts:
        text = resources.files(__package__).joinpath("sql", "fill_in_drafts.sql").read_text()
        statement = sa.text(text).bindparams(sa.bindparam("filled", type_=pg.JSONB))
        connection.execute(statement, {"filled": [_filled(one) for one in drafts], "now": now})


def _filled(draft: Any) -> dict[str, Any]:
    try:
        return {"id": draft.id, "body": fill_in_body(draft.data["body"], draft.fields)}
    except MessageError as error:
        return {"id": draft.id, "problem": str(error)}
