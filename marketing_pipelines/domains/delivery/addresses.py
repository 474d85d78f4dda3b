"""Normalised addresses, as the function `delivery.address_of` makes them in SQL."""

import re

_BLANKS = " \t\r\n"
_NUMBER = re.compile(r"\+[0-9]{7,15}")


def address_of(channel: str, given: str) -> str | None:
    """Returns the normalised address of a channel.

    None: it is empty, the phone number is not valid, or the channel has no addresses.
    """
    if channel == "email":
        return given.strip(_BLANKS).lower() or None
    if channel == "sms":
        number = re.sub(r"[\s./()-]", "", given)
        number = "+" + number[2:] if number.startswith("00") else number
        return number if _NUMBER.fullmatch(number) else None
    if channel == "push":
        return given.strip(_BLANKS) or None
    return None
