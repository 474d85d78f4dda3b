"""The meaning of SMTP answers after RCPT and after the data, as data (RFC 3463, RFC 5321)."""

import re

from marketing_pipelines.domains.delivery.rendering import MessageError
from marketing_pipelines.domains.delivery.transports.outcomes import (
    BouncedError,
    DeferredError,
    LineError,
)

# Closing the channel: the server wants no more mail over this line for now.
CLOSING = 421
HARD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
SOFT = frozenset({"5.2.2"})
# They speak of the sender or the content, never of the recipient.
OURS = re.compile(r"5\.(1\.[78]|7\.\d+)")
MAILBOX_FULL = 552
# Without an enhanced code they do not say whether the mailbox or the policy is to blame.
VAGUE = frozenset({550, 551, 553})
MAX_SENTENCE = 300
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")


def sentence(code: int, text: str) -> str:
    """The answer in one line."""
    line = " ".join(f"{code} {text}".split())
    return line if len(line) <= MAX_SENTENCE else f"{line[:MAX_SENTENCE]}…"


def refusal(code: int, text: str) -> Exception:
    """The outcome of an answer to RCPT, DATA or the data that is not 2xx or 3xx."""
    said = sentence(code, text)
    if code == CLOSING:
        return LineError(f"The server answered {said}.", is_slow_down=True)
    if 400 <= code < 500:
        return DeferredError(said)
    match = _ENHANCED.match(text)
    enhanced = match[0] if match else None
    if enhanced in HARD:
        return BouncedError(said, "hard")
    if enhanced is not None and OURS.fullmatch(enhanced):
        return MessageError(said)
    if enhanced in SOFT or code == MAILBOX_FULL or (enhanced is None and code in VAGUE):
        return BouncedError(said, "soft")
    return MessageError(said)
