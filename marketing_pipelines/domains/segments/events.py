"""Events that this domain publishes."""

import datetime as dt
from typing import ClassVar

from marketing_pipelines.queueing.bus import BusEvent


class SegmentEntered(BusEvent):
    """A contact became a member; those whom a segment's first evaluation finds are not told of."""

    type: ClassVar[str] = "segment.entered"

    segment_id: int
    segment: str
    tick: dt.datetime


class SegmentLeft(SegmentEntered):
    """A contact is no longer a member."""

    type: ClassVar[str] = "segment.left"
