"""Keys of service accounts of Google, as Google's JSON files have them."""

import json

_NEEDED = ("client_email", "private_key", "token_uri")


def read_key(text: str) -> dict[str, str]:
    """Returns the fields of a key.

    Raises:
        ValueError: it is none; the sentence repeats nothing of it.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise ValueError("key is not the JSON file of a service account")
    for name in _NEEDED:
        if not isinstance(found.get(name), str):
            raise ValueError(f"key has no {name}: give the whole JSON file of the service account")
    _check_private_key(found["private_key"])
    return found


def _check_private_key(text: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private_key of key is damaged: download a new key") from None
