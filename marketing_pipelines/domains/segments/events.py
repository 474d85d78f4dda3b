"""Events that this domain publishes."""

import datetime as dt
from typing import ClassVar

from marketing_pipelines.queueing.bus import BusEvent


class SegmentEntered(BusEvent):
    """A contact became a member; a segment's first evaluation publishes no events."""

    type: ClassVar[str] = "segment.entered"

    segment_id: int
    segment: str
    tick: dt.datetime


class SegmentLeft(SegmentEntered):
    """A contact is no longer a member."""

    type: ClassVar[str] = "segment.left"
