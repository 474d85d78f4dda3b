"""Buckets of contacts: a share of an audience that is the same whenever it is asked for.

A contact's bucket is a hash of its names and of a salt, so that shares with different salts are
independent of each other. `segments.bucket` in the database computes it.
"""

from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator, WithJsonSchema

BUCKETS = 10_000


def buckets_of(percent: Any) -> int:
    """Returns the number of buckets that a percentage is.

    Raises:
        ValueError: it is no percentage from 0 to 100, or has more than two decimals.
    """
    if isinstance(percent, bool) or not isinstance(percent, (int, float, Decimal)):
        raise ValueError("takes a number")
    exact = Decimal(str(percent)) * BUCKETS / 100
    if not exact.is_finite() or not 0 <= exact <= BUCKETS:
        raise ValueError("takes a percentage from 0 to 100")
    if exact != int(exact):
        raise ValueError("has more than two decimals")
    return int(exact)


def _checked(percent: Any) -> Any:
    buckets_of(percent)
    return percent


# A percentage as it is written, from 0 to 100 with at most two decimals.
Percent = Annotated[
    Any,
    BeforeValidator(_checked),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]


def bucket(
    organization: sa.ColumnElement[str], contact: sa.ColumnElement[str], salt: str
) -> sa.ColumnElement[int]:
    """Returns the bucket of a contact, from 0 to 9,999.

    Args:
        organization: External id of the contact's organization.
        contact: External id of the contact.
    """
    return sa.func.segments.bucket(organization, contact, salt, type_=sa.Integer)
