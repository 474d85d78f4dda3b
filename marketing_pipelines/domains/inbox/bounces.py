"""Bounces and complaints: the mail that came back, its recipient and the reason.

Three forms are known: reports of delivery (RFC 3464), reports of complaints (ARF, RFC 5965), and
texts of servers that send neither. Nothing here believes a bounce; `effects` asks for proof.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from itertools import islice

from marketing_pipelines.domains.delivery.hooks.events import sentence
from marketing_pipelines.domains.delivery.hooks.verdicts import (
    COMPLAINED,
    FAILED,
    NOTED,
    UNSUBSCRIBED,
    HookVerdict,
)
from marketing_pipelines.domains.inbox import bounce_texts, mime
from marketing_pipelines.domains.inbox.mail_addresses import addresses_in, read_addresses

MAX_RECIPIENTS = 100
MAX_LINES = 300
MAX_BLOCK_LENGTH = 2_000
MAX_LINE_LENGTH = 998
_ID_LINE = re.compile(r"^[ \t>]*Message-ID:\s*<([^<>\s]{1,998})>", re.IGNORECASE | re.MULTILINE)
_TO_LINE = re.compile(r"^[ \t>]*(?:To|X-[\w-]*Recipient):(.{1,998})$", re.IGNORECASE | re.MULTILINE)
_PATH_LINE = re.compile(r"^[ \t>]*Return-Path:(.{1,400})$", re.IGNORECASE | re.MULTILINE)
_ACTION = re.compile(r"[a-z]+")
_FINAL = {"failed", "failure", "fail", "error"}
_FEEDBACK = {"abuse": COMPLAINED, "opt-out": UNSUBSCRIBED, "opt-out-list": UNSUBSCRIBED}
_JUNK_SUBJECT = re.compile(r"complaint about message from", re.IGNORECASE)
_JUNK_SENDER = re.compile(r"\bstaff@(?:hotmail|outlook|live)\.", re.IGNORECASE)


@dataclass(frozen=True)
class RecipientReport:
    """The fate of a mail for one recipient.

    Attributes:
        addresses: The recipient as the report names it, original before final; empty: it does not.
        verdict: `NOTED` where nothing follows: delayed, delivered, relayed.
        reason: The server's sentence, on one line.
    """

    addresses: tuple[str, ...]
    verdict: HookVerdict
    reason: str | None


@dataclass(frozen=True)
class Returned:
    """A mail about the fate of another one.

    Attributes:
        message_ids: Of the returned mail, as its headers name them.
        receivers: Addresses in the headers of the returned mail.
        return_paths: Its envelope senders.
    """

    reports: tuple[RecipientReport, ...]
    message_ids: tuple[str, ...]
    receivers: tuple[str, ...]
    return_paths: tuple[str, ...]


Parts = Sequence[tuple["Message[str, str]", bool]]


def read_returned(parts: Parts, subject: str, text: str) -> Returned | None:
    """Reads a mail about the fate of another one; None: it is none.

    Args:
        parts: Of the mail, itself first.
        text: As it shows.
    """
    message = parts[0][0]
    kind = mime.parameter_of(message, "report-type").lower()
    lines = text.split("\n", MAX_LINES)[:MAX_LINES]
    told = "\n".join(_above_returned(lines))[: 20 * MAX_BLOCK_LENGTH]
    bounces = _first(_of_feedback(parts)) or _first(_of_junk_button(message, parts, subject))
    if not bounces:
        bounces = _first(_of_statuses(parts, told, may_be_inner=False))
    if not bounces and kind == "delivery-status":
        # A filter packed the report into another one.
        bounces = _first(_of_statuses(parts, told, may_be_inner=True))
    # By its headers alone, which a mailbox reads first, it may be one already.
    is_report = kind in ("delivery-status", "feedback-report") or any(
        mime.type_of(part) == "message/delivery-status" and not is_inner for part, is_inner in parts
    )
    is_of_text = kind != "feedback-report" and (is_report or _is_of_a_server(message, subject))
    if not bounces and is_of_text:
        bounces = _first(_of_text(subject, told))
    if not (bounces or is_report or _is_of_junk_button(message, subject)):
        return None
    ids, receivers, paths = _returned_headers(parts, text)
    return Returned(tuple(bounces), ids, receivers, paths)


def _first(reports: Iterator[RecipientReport]) -> list[RecipientReport]:
    return list(islice(reports, MAX_RECIPIENTS))


def _of_feedback(parts: Parts) -> Iterator[RecipientReport]:
    for part, is_inner in parts:
        if mime.type_of(part) != "message/feedback-report" or is_inner:
            continue
        for fields in _blocks(part)[:1]:
            feedback = mime.header_of(fields, "Feedback-Type").lower()
            named = mime.raw_headers(fields, "Original-Rcpt-To")
            named += mime.raw_headers(fields, "Removal-Recipient")
            named = [one[:MAX_LINE_LENGTH] for one in named]
            verdict = _FEEDBACK.get(feedback, NOTED)
            yield RecipientReport(
                tuple(read_addresses(named)), verdict, sentence(f"Feedback: {feedback}")
            )
        return


def _of_junk_button(
    message: "Message[str, str]", parts: Parts, subject: str
) -> Iterator[RecipientReport]:
    """Complaints of Outlook.com, which attach the mail without a report."""
    if not _is_of_junk_button(message, subject):
        return
    for part, _ in parts[1:]:
        named = mime.raw_header(part, "X-HmXmrOriginalRecipient")[:MAX_LINE_LENGTH]
        if named:
            yield RecipientReport(tuple(read_addresses([named])), COMPLAINED, sentence(subject))


def _is_of_junk_button(message: "Message[str, str]", subject: str) -> bool:
    sender = mime.header_of(message, "From")
    return bool(_JUNK_SUBJECT.match(subject) and _JUNK_SENDER.search(sender))


def _of_statuses(parts: Parts, told: str, *, may_be_inner: bool) -> Iterator[RecipientReport]:
    statuses = [
        part
        for part, is_inner in parts
        if mime.type_of(part) == "message/delivery-status" and (may_be_inner or not is_inner)
    ]
    blocks = _blocks_of(told) if statuses else {}
    for part in statuses:
        for fields in _blocks(part)[: MAX_RECIPIENTS + 1]:
            bounce = _of_status(fields, blocks, told)
            if bounce is not None:
                yield bounce


def _of_status(
    fields: "Message[str, str]", blocks: Mapping[str, str], told: str
) -> RecipientReport | None:
    """One recipient of a report; None: the block is about the report as a whole."""
    action = _ACTION.match(mime.header_of(fields, "Action").lower())
    status = mime.header_of(fields, "Status")
    named = [
        mime.raw_header(fields, name)[:MAX_LINE_LENGTH].rpartition(";")[2]
        for name in ("Original-Recipient", "Final-Recipient")
    ]
    addresses = tuple(read_addresses(named))
    codes = bounce_texts.codes_in(status)
    if action is None and not (addresses and codes):
        return None
    said = mime.header_of(fields, "Diagnostic-Code")
    words = f"{status} {said}"[:MAX_BLOCK_LENGTH]
    is_final = action[0] in _FINAL if action else codes[0].startswith("5")
    if not is_final:
        return RecipientReport(addresses, NOTED, sentence(status, said))
    if not said:
        # The reason stands in the text alone.
        about = (blocks[one] for one in addresses if one in blocks)
        words += " " + next(about, told[:MAX_BLOCK_LENGTH])
    verdict = bounce_texts.verdict_of(codes[:1], words)
    return RecipientReport(addresses, verdict, sentence(status, said))


def _of_text(subject: str, told: str) -> Iterator[RecipientReport]:
    """The recipients that the text of a server names, each with the lines about it."""
    if bounce_texts.DELAYED.search(f"{subject}\n{told}"):
        yield RecipientReport(tuple(_named(told)), NOTED, sentence(subject))
        return
    blocks = _blocks_of(told)
    if not blocks:
        yield RecipientReport(
            (), bounce_texts.verdict_of((), f"{subject}\n{told}"), sentence(subject)
        )
    for address, block in blocks.items():
        verdict = bounce_texts.verdict_of((), block)
        if verdict == FAILED and not bounce_texts.POLICY.search(block):
            # The reason stands above or below the addresses.
            verdict = bounce_texts.verdict_of((), f"{subject}\n{told}")
        yield RecipientReport((address,), verdict, sentence(block))


def _is_of_a_server(message: "Message[str, str]", subject: str) -> bool:
    sender = mime.header_of(message, "From")
    is_answerless = mime.raw_header(message, "Return-Path").replace(" ", "") == "<>"
    kind = mime.parameter_of(message, "report-type").lower()
    if kind == "disposition-notification":
        return "reject" in subject.lower()
    return bool(bounce_texts.SUBJECTS.search(subject)) and (
        is_answerless
        or bool(bounce_texts.SENDERS.search(sender))
        or bool(mime.raw_header(message, "Auto-Submitted"))
    )


def _above_returned(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if bounce_texts.RETURNED.match(line):
            return
        yield line[:MAX_BLOCK_LENGTH]


def _named(told: str) -> list[str]:
    shown = (line for line in told.split("\n") if not bounce_texts.CONTACTS.search(line))
    return addresses_in("\n".join(shown))[:MAX_RECIPIENTS]


def _blocks_of(told: str) -> dict[str, str]:
    """The lines about each address, from the line that names it to the one that names another."""
    blocks: dict[str, str] = {}
    current = None
    for line in told.split("\n"):
        named = [] if bounce_texts.CONTACTS.search(line) else addresses_in(line)
        if named and named[0] != current:
            current = named[0]
            if len(blocks) == MAX_RECIPIENTS and current not in blocks:
                break
        if current is not None:
            blocks[current] = (blocks.get(current, "") + line + "\n")[:MAX_BLOCK_LENGTH]
    return blocks


def _blocks(part: "Message[str, str]") -> list["Message[str, str]"]:
    below = part.get_payload()
    return [one for one in below if isinstance(one, Message)] if isinstance(below, list) else []


def _returned_headers(
    parts: Parts, text: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Message-ID, receivers and envelope senders of the returned mail.

    One Message-ID counts, that of its own headers first: others may be of quoted mails.
    """
    ids: list[str] = []
    receivers: list[str] = []
    paths: list[str] = []
    shown: list[str] = []
    for part, is_inner in parts:
        kind = mime.type_of(part)
        if kind == "message/rfc822" and not is_inner:
            for mail in _blocks(part):
                lines = [
                    f"{name}: {value}"
                    for name in ("Message-ID", "To", "Return-Path", "X-HmXmrOriginalRecipient")
                    for value in mime.raw_headers(mail, name)
                ]
                shown.append("\n".join(lines))
        elif kind == "text/rfc822-headers" and not is_inner:
            shown.append(re.sub(r"\r?\n[ \t]+", " ", mime.text_of(part)))
        elif kind == "message/feedback-report":
            for fields in _blocks(part):
                paths.append(mime.raw_header(fields, "Original-Mail-From")[:MAX_LINE_LENGTH])
    for one in [*shown, text]:
        head = one[: 50 * MAX_BLOCK_LENGTH]
        ids += _ID_LINE.findall(head)[:1]
        receivers += _TO_LINE.findall(head)[:MAX_RECIPIENTS]
        paths += _PATH_LINE.findall(head)[:MAX_RECIPIENTS]
    return (
        tuple(ids[:1]),
        tuple(addresses_in(" ".join(receivers[:MAX_RECIPIENTS]))[:MAX_RECIPIENTS]),
        tuple(addresses_in(" ".join(paths[:MAX_RECIPIENTS]))[:MAX_RECIPIENTS]),
    )
