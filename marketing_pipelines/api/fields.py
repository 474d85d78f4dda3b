"""Fields that the bodies of several addresses share: names, instants, contacts and addresses."""

import datetime as dt
import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from marketing_pipelines.api.answers import Refusal
from marketing_pipelines.api.bodies import Body
from marketing_pipelines.domains.crm.recipients import Asked
from marketing_pipelines.domains.delivery.addresses import address_of

MAX_NAME_LENGTH = 200
MAX_ADDRESS_LENGTH = 320
_ADDRESS = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII
)


def _instant(text: str) -> str:
    if not _INSTANT.fullmatch(text):
        raise ValueError("write an instant with its zone, such as 2026-03-01T09:00:00Z")
    try:
        dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("it is no instant of the calendar") from None
    return text


ShortName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
ZonedInstant = Annotated[str, AfterValidator(_instant)]


class ContactOrAddress(Body):
    """A contact, or an address."""

    contact: ShortName | None = Field(default=None, description="External id")
    address: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_LENGTH)] | None = Field(
        default=None,
        description="It belongs to the contact with the smallest number that has it; one that "
        "nobody has becomes a contact",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ContactOrAddress":
        if (self.contact is None) == (self.address is None):
            raise ValueError("a recipient has either a contact or an address")
        return self


def asked_of(
    one: ContactOrAddress, channel: str, path: str = "address", name: str | None = None
) -> Asked:
    """Returns the contact or the normalised address.

    Args:
        path: Path of the address in the body, for a refusal.
        name: Name of the person, for a new contact.

    Raises:
        Refusal: the channel has no such address.
    """
    if one.address is None:
        return Asked(contact=one.contact, name=name)
    if channel == "email" and not _ADDRESS.fullmatch(one.address.strip()):
        raise Refusal(422, f"{path}: '{one.address[:60]}' is no e-mail address.")
    address = address_of(channel, one.address)
    if address is None:
        reason = (
            "is no phone number: write + and 7 to 15 digits" if channel == "sms" else "is empty"
        )
        raise Refusal(422, f"{path}: '{one.address[:60]}' {reason}.")
    return Asked(address=address, given=one.address.strip(), name=name)
