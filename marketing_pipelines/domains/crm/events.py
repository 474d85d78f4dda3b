"""The types of bus events about contacts: their stages and scores, deals, tasks, mail and forms.

Triggers in `schema/` publish the first of these where the rows change (`contact.created`,
`deal.*`, `task.created`); jobs publish the others. `tick` is when an event of a job happened,
however late the job runs, and `at` when a change or a mail did; one without them happened when
it was published.
"""

import datetime as dt
from typing import ClassVar, Literal

from pydantic import Field

from marketing_pipelines.queueing.bus import BusEvent

CreatedBy = Literal["manual", "import", "form", "api"]
MAX_CONTACTS = 10_000


class ContactCreated(BusEvent):
    """A contact came to be known by an address, a name or a file, once for each contact.

    Attributes:
        contacts: The contacts of a load, at most 10,000; then `contact_id` is null.
    """

    type: ClassVar[str] = "contact.created"

    source: CreatedBy
    contacts: list[int] = Field(default=[], max_length=MAX_CONTACTS)

    @property
    def contact_ids(self) -> list[int]:
        """The numbers of the contacts that it is about."""
        return self.contacts if self.contact_id is None else [self.contact_id]


class ContactStageChanged(BusEvent):
    """`leads/lifecycle_stages` moved a contact to its next stage; one event for each move."""

    type: ClassVar[str] = "contact.stage_changed"

    before: str | None = Field(alias="from")
    to: str
    reason: str
    tick: dt.datetime


class IntentBandChanged(BusEvent):
    """The intent score of a contact crossed the bound of a band."""

    type: ClassVar[str] = "intent.band_changed"

    before: str | None = Field(alias="from")
    to: str
    score: int
    tick: dt.datetime | None = None


class LeadGraded(BusEvent):
    """The lead score of a contact gave it another grade."""

    type: ClassVar[str] = "lead.graded"

    before: str | None = Field(alias="from")
    to: str
    score: int
    tick: dt.datetime | None = None


class EmailReceived(BusEvent):
    """A mail of a contact arrived in a connected mailbox.

    Attributes:
        message: Number of the mail in `inbox.email_messages`.
        at: When it was sent.
    """

    type: ClassVar[str] = "email.received"

    message: str
    at: dt.datetime


class EmailReplied(EmailReceived):
    """A contact replied to one of our messages, or to a mail of a connected mailbox."""

    type: ClassVar[str] = "email.replied"


class EmailForwarded(EmailReceived):
    """A contact forwarded one of our messages, or a mail of a connected mailbox."""

    type: ClassVar[str] = "email.forwarded"


class FormSubmitted(BusEvent):
    """A contact submitted a form.

    Attributes:
        form: External id.
        submission: Its number.
        at: When it was submitted.
    """

    type: ClassVar[str] = "form.submitted"

    form: str
    submission: str
    at: dt.datetime | None = None


class DealStageChanged(BusEvent):
    """A deal is in another stage; its creation is no change.

    Attributes:
        deal: External id.
        at: When it changed, as its file says or the load did.
    """

    type: ClassVar[str] = "deal.stage_changed"

    deal: str
    before: str | None = Field(alias="from")
    to: str | None
    at: dt.datetime


class DealWon(DealStageChanged):
    """The status of a deal became `won`; `from` and `to` are its stages."""

    type: ClassVar[str] = "deal.won"


class DealLost(DealStageChanged):
    """The status of a deal became `lost`; `from` and `to` are its stages."""

    type: ClassVar[str] = "deal.lost"


class TaskCreated(BusEvent):
    """An open task was written for a user.

    Attributes:
        tick: When the task came to be, `created_at`.
    """

    type: ClassVar[str] = "task.created"

    task: int
    tick: dt.datetime | None = None
