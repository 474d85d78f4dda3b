"""Reports of mail systems about the fate of mails, and mails that only look like them."""

import hashlib
from dataclasses import dataclass
from itertools import product

OURS = "message.17@ours.example"
RECIPIENT = "ann@theirs.example"


def returned(message_id: str = OURS, to: str = RECIPIENT) -> str:
    """The headers of the mail that came back."""
    return (
        "Return-Path: <sam@ours.example>\n"
        f"From: Sam <sam@ours.example>\nTo: {to}\nMessage-ID: <{message_id}>\nSubject: Offer\n"
    )


def own_id(*contents: str) -> str:
    """The Message-ID of a report; others have another one."""
    return f"<{hashlib.sha256(repr(contents).encode()).hexdigest()[:20]}@theirs.example>"


def report(
    sender: str,
    *recipients: str,
    text: str = "Your mail was not delivered.",
    to: str = "sam@ours.example",
    message_id: str = OURS,
    headers: str = "",
) -> bytes:
    """A report of delivery by RFC 3464; each recipient is given by its fields."""
    blocks = "\n\n".join(recipients)
    return (
        f"From: {sender}\nTo: {to}\nSubject: Delivery report\n"
        f"Date: Tue, 3 Mar 2026 10:00:00 +0000\nMessage-ID: {own_id(to, blocks, message_id)}\n"
        f"{headers}"
        "MIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        f"--b\nContent-Type: text/plain\n\n{text}\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.theirs.example\n\n"
        f"{blocks}\n"
        f"--b\nContent-Type: text/rfc822-headers\n\n{returned(message_id)}\n--b--\n"
    ).encode()


def fields(
    status: str,
    said: str = "",
    *,
    action: str = "failed",
    recipient: str = RECIPIENT,
    original: str = "",
) -> str:
    """The fields of one recipient of a report."""
    first = f"Original-Recipient: rfc822; {original}\n" if original else ""
    last = f"\nDiagnostic-Code: smtp; {said}" if said else ""
    return f"{first}Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}{last}"


def letter(sender: str, subject: str, text: str, *, headers: str = "") -> bytes:
    """A mail of plain text."""
    return (
        f"From: {sender}\nTo: sam@ours.example\nSubject: {subject}\n{headers}"
        f"Date: Tue, 3 Mar 2026 10:00:00 +0000\nMessage-ID: <letter@theirs.example>\n\n{text}\n"
    ).encode()


def complaint(
    sender: str,
    feedback: str,
    *,
    recipient: str = RECIPIENT,
    message_id: str = OURS,
    extra: str = "",
    whole: bool = True,
) -> bytes:
    """A report of abuse by RFC 5965."""
    kind = "message/rfc822" if whole else "text/rfc822-headers"
    named = f"Original-Rcpt-To: {recipient}\n" if recipient else ""
    return (
        f"From: {sender}\nTo: abuse@ours.example\nSubject: Abuse report\n"
        "Date: Tue, 3 Mar 2026 10:00:00 +0000\n"
        f"Message-ID: {own_id(feedback, recipient, message_id)}\n"
        "MIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nThis is a report about a mail.\n"
        "--b\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: {feedback}\nUser-Agent: Loop/1\nVersion: 1\n{named}{extra}\n"
        f"--b\nContent-Type: {kind}\n\n{returned(message_id)}\nBuy now\n--b--\n"
    ).encode()


@dataclass(frozen=True)
class SystemReport:
    """A report of a mail system with its meaning.

    Attributes:
        meaning: hard, soft, failed, noted, complained or unsubscribed.
    """

    system: str
    meaning: str
    raw: bytes


DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.theirs.example>"
POSTMASTER = "postmaster@theirs.example"
REFUSED = f"<{RECIPIENT}>"

REPORTS = (
    SystemReport(
        "Postfix",
        "hard",
        report(
            DAEMON,
            fields("5.1.1", f"550 5.1.1 {REFUSED}: Recipient address rejected: User unknown"),
        ),
    ),
    SystemReport("Postfix", "soft", report(DAEMON, fields("4.4.1", "connect: timed out"))),
    SystemReport(
        "Postfix", "soft", report(DAEMON, fields("5.4.4", "Host not found, name service error"))
    ),
    SystemReport("Postfix", "noted", report(DAEMON, fields("4.4.1", action="delayed"))),
    SystemReport(
        "Sendmail",
        "hard",
        report(DAEMON, fields("5.1.2", "Host unknown (Name server: no such domain)")),
    ),
    SystemReport(
        "Sendmail",
        "hard",
        report(DAEMON, fields("5.3.0", f"553 5.3.0 {REFUSED}... Addressee unknown")),
    ),
    SystemReport(
        "Sendmail", "soft", report(DAEMON, fields("5.2.2", "552 5.2.2 Mailbox full, over quota"))
    ),
    SystemReport(
        "Exim",
        "hard",
        letter(
            "Mail Delivery System <Mailer-Daemon@mx.theirs.example>",
            "Mail delivery failed: returning message to sender",
            "A message that you sent could not be delivered to all of its recipients.\n"
            f"The following address(es) failed:\n\n  {RECIPIENT}\n"
            "    host mx.theirs.example [192.0.2.1]\n    550 No such user here\n\n"
            f"------ This is a copy of the message's headers. ------\n\n{returned()}",
        ),
    ),
    SystemReport(
        "Exim",
        "failed",
        report(DAEMON, fields("5.0.0", "550 JunkMail rejected - listed at a dnsbl, see policy")),
    ),
    SystemReport(
        "qmail",
        "hard",
        letter(
            "MAILER-DAEMON@mx.theirs.example",
            "failure notice",
            "Hi. This is the qmail-send program at mx.theirs.example.\n"
            f"This is a permanent error; I've given up.\n\n{REFUSED}:\n"
            "Sorry, no mailbox here by that name. (#5.1.1)\n\n"
            f"--- Below this line is a copy of the message.\n\n{returned()}",
        ),
    ),
    SystemReport(
        "qmail",
        "soft",
        letter(
            "MAILER-DAEMON@mx.theirs.example",
            "failure notice",
            f"{REFUSED}:\nThe user's mailfolder is full.\n\n"
            f"--- Below this line is a copy of the message.\n\n{returned()}",
        ),
    ),
    SystemReport(
        "Exchange Server",
        "hard",
        letter(
            "System Administrator <postmaster@theirs.example>",
            "Undeliverable: Offer",
            "Your message\n\n  To:      Ann\n  Subject: Offer\n\n"
            f"did not reach the following recipient(s):\n\n{RECIPIENT} on Tue, 3 Mar 2026\n"
            "    The recipient name is not recognized\n    000C05A6 Unknown Recipient\n\n"
            f"Original message headers:\n{returned()}",
        ),
    ),
    SystemReport(
        "Microsoft 365",
        "hard",
        report(
            "postmaster@theirs.onmicrosoft.example",
            fields("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"),
        ),
    ),
    SystemReport(
        "Microsoft 365",
        "failed",
        report(
            "postmaster@theirs.onmicrosoft.example",
            fields("5.7.133", "550 5.7.133 Sender not authenticated for group"),
        ),
    ),
    SystemReport(
        "Microsoft 365",
        "soft",
        report(
            "postmaster@theirs.onmicrosoft.example",
            fields("5.4.300", "550 5.4.300 Message expired -> 451 4.4.0 DNS query failed"),
        ),
    ),
    SystemReport(
        "Gmail",
        "hard",
        report(
            "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
            fields("5.1.1", "550-5.1.1 The email account that you tried to reach does not exist."),
        ),
    ),
    SystemReport(
        "Gmail",
        "failed",
        report(
            "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
            fields(
                "5.7.26", "550-5.7.26 This mail has been blocked: the sender is unauthenticated"
            ),
        ),
    ),
    SystemReport(
        "Gmail",
        "soft",
        report(
            "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
            fields("5.2.1", "550 5.2.1 The user is receiving mail at a rate that prevents more"),
        ),
    ),
    SystemReport(
        "Yahoo",
        "hard",
        letter(
            "MAILER-DAEMON@yahoo.example",
            "Failure Notice",
            "Sorry, we were unable to deliver your message to the following address.\n\n"
            f"{REFUSED}:\n554: delivery error: This user doesn't have a yahoo.example account\n\n"
            f"--- Below this line is a copy of the message.\n\n{returned()}",
        ),
    ),
    SystemReport(
        "iCloud",
        "soft",
        report(DAEMON, fields("5.2.2", f"552 5.2.2 {REFUSED}: user is over quota")),
    ),
    SystemReport(
        "Amazon SES",
        "hard",
        report(
            "MAILER-DAEMON@eu-west-1.amazonses.example",
            fields("5.1.1", "550 5.1.1 user unknown"),
            headers="Auto-Submitted: auto-replied\n",
        ),
    ),
    SystemReport(
        "Mail.ru",
        "hard",
        letter(
            "Mail Delivery System <Mailer-Daemon@mx.mail.example>",
            "Ваше сообщение не доставлено. Mail failure.",
            f"Local mailbox {RECIPIENT} is unavailable: user not found\n"
            f"------ This is a copy of your message.\n\n{returned()}",
        ),
    ),
    SystemReport(
        "Yandex",
        "failed",
        report(DAEMON, fields("5.0.0", "550 5.7.1 No such user!", recipient=RECIPIENT)),
    ),
    SystemReport(
        "GMX",
        "hard",
        letter(
            '"GMX Mailer Daemon" <mailer-daemon@gmx.example>',
            "Mail delivery failed: returning message to sender",
            "A message that you sent could not be delivered to its recipient.\n\n"
            f"{RECIPIENT}:\nSMTP error from remote server for RCPT TO command\n"
            "reason: 550 Requested action not taken: Empfänger unbekannt\n\n"
            f"--- The header of the original message is following. ---\n{returned()}",
        ),
    ),
    SystemReport(
        "Domino",
        "hard",
        letter(
            POSTMASTER,
            f"DELIVERY FAILURE: User ann ({RECIPIENT}) not listed in Domino Directory",
            f"Your message\n\n  Subject: Offer\n\nwas not delivered to:\n\n  {RECIPIENT}\n\n"
            f"because:\n\n  User ann ({RECIPIENT}) not listed in Domino Directory\n\n{returned()}",
        ),
    ),
    SystemReport(
        "GroupWise",
        "soft",
        letter(
            POSTMASTER,
            "Undeliverable: Offer",
            f"The message could not be delivered to {RECIPIENT}: disk space is used up, "
            f"mailbox is full\n\nOriginal message:\n{returned()}",
        ),
    ),
    SystemReport(
        "MDaemon",
        "hard",
        letter(
            "MDaemon@theirs.example",
            f"Warning: {RECIPIENT} - User unknown!",
            f"{RECIPIENT} - no such user here.\n\nThere is no user by that name.\n\n{returned()}",
        ),
    ),
    SystemReport(
        "hMailServer",
        "hard",
        letter(
            "mailer-daemon@mx.theirs.example",
            "Message undeliverable: Offer",
            "Your message did not reach some or all of the intended recipients.\n\n"
            f"   {RECIPIENT}\n   Error Type: SMTP\n"
            f"   Remote server replied: 550 5.1.1 {REFUSED}... User unknown\n\n{returned()}",
        ),
    ),
    SystemReport(
        "MailEnable",
        "soft",
        letter(
            f"Delivery Subsystem <{POSTMASTER}>",
            "Message Delivery Failure",
            f"The following recipient(s) could not be reached:\n\n\tRecipient: [SMTP:{RECIPIENT}]\n"
            "\tReason: Remote server returned: 550 mailbox unavailable or not local.\n\n"
            f"Message headers follow:\n{returned()}",
        ),
    ),
    SystemReport(
        "Proofpoint",
        "failed",
        report(DAEMON, fields("5.7.1", "554 5.7.1 Service unavailable; client host blocked")),
    ),
    SystemReport(
        "Mimecast",
        "failed",
        report(DAEMON, fields("5.0.0", "550 Rejected by header based Anti-Spoofing policy")),
    ),
    SystemReport(
        "Barracuda",
        "failed",
        report(DAEMON, fields("5.1.1", "554 5.1.1 rejected due to spam content")),
    ),
    SystemReport(
        "Zimbra",
        "hard",
        report(DAEMON, fields("5.1.1", f"550 5.1.1 {REFUSED}: Recipient address rejected")),
    ),
    SystemReport(
        "OpenSMTPD",
        "hard",
        report(
            DAEMON,
            fields("5.0.0", action="error"),
            text=f"An error has occurred.\n\n{RECIPIENT}: Domain does not exist",
        ),
    ),
    SystemReport(
        "Courier",
        "hard",
        report(DAEMON, fields("5.0.0", "550 User unknown.")),
    ),
    SystemReport(
        "Dovecot",
        "soft",
        letter(
            f"Mail Delivery Subsystem <{POSTMASTER}>",
            "Automatically rejected mail",
            f"Your message to {REFUSED} was automatically rejected:\nQuota exceeded\n\n"
            f"{returned()}",
        ),
    ),
    SystemReport(
        "Exchange Server",
        "failed",
        report(DAEMON, fields("5.2.3", "552 5.2.3 Message too large for this recipient")),
    ),
    SystemReport(
        "Exchange Server",
        "failed",
        report(DAEMON, fields("5.7.1", "550 5.7.1 Unable to relay")),
    ),
    SystemReport("Postfix", "noted", report(DAEMON, fields("2.0.0", action="delivered"))),
    SystemReport("Postfix", "noted", report(DAEMON, fields("2.0.0", action="relayed"))),
    SystemReport(
        "Gmail",
        "noted",
        letter(
            "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
            "Delivery Status Notification (Delay)",
            "THIS IS A WARNING MESSAGE ONLY.\n\nDelivery to the following recipient has been "
            f"delayed:\n\n     {RECIPIENT}\n\nMessage will be retried for 2 more day(s)",
        ),
    ),
)

COMPLAINTS = (
    SystemReport("Yahoo", "complained", complaint("feedback@arf.mail.yahoo.example", "abuse")),
    SystemReport(
        "AOL", "complained", complaint("scomp@aol.example", "abuse", recipient="", whole=False)
    ),
    SystemReport(
        "Comcast",
        "complained",
        complaint("feedback@comcast.example", "Abuse", extra="Removal-Recipient: x@y.example\n"),
    ),
    SystemReport("Fastmail", "complained", complaint("fbl@fastmail.example", "abuse")),
    SystemReport("Validity", "complained", complaint("noreply@fbl.validity.example", " abuse ")),
    SystemReport("Mail.ru", "complained", complaint("fbl@corp.mail.example", "abuse", whole=False)),
    SystemReport(
        "Amazon SES", "complained", complaint("complaints@email-abuse.amazonses.example", "abuse")
    ),
    SystemReport(
        "Outlook.com",
        "complained",
        (
            "From: staff@hotmail.example\nTo: abuse@ours.example\n"
            "Subject: complaint about message from 192.0.2.1\nMIME-Version: 1.0\n"
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
            f"X-HmXmrOriginalRecipient: {RECIPIENT}\n{returned()}\nBuy now\n--b--\n"
        ).encode(),
    ),
    SystemReport("Yahoo", "unsubscribed", complaint("feedback@yahoo.example", "opt-out")),
    SystemReport("LinkedIn", "noted", complaint("dmarc-reports@linkedin.example", "auth-failure")),
    SystemReport("Yahoo", "noted", complaint("feedback@yahoo.example", "not-spam")),
)

ANSWERS = ("Thanks, that works for me.", "Please call me.", "Not interested, sorry.", "+1")
AUTO_SUBJECTS = (
    "Automatic reply: Offer",
    "Out of Office Re: Offer",
    "Abwesenheitsnotiz: Offer",
    "Réponse automatique : Offer",
    "Respuesta automática: Offer",
    "Risposta automatica: Offer",
    "自動返信: Offer",
)
QUOTES = (
    "On Mon, 2 Mar 2026 at 09:00, Sam <sam@ours.example> wrote:\n> Our offer.",
    "Am 02.03.2026 um 09:00 schrieb Sam <sam@ours.example>:\n> Our offer.",
    "Le lun. 2 mars 2026 à 09:00, Sam <sam@ours.example> a écrit :\n> Our offer.",
    "-----Original Message-----\nFrom: Sam <sam@ours.example>\nSent: Monday\nTo: Ann\nSubject: A",
    # People write about bounces, too.
    "> 550 5.1.1 User unknown\n> The mailbox does not exist.",
    f"bob@theirs.example: user unknown\n{returned()}",
)


def replies() -> list[bytes]:
    """Mails of people who answer."""
    threads = f"In-Reply-To: <{OURS}>\nReferences: <{OURS}>\n"
    return [
        letter("Ann <ann@theirs.example>", subject, f"{answer}\n\n{quote}", headers=threads)
        for answer, quote, subject in product(
            ANSWERS, QUOTES, ("Re: Offer", "Your mail could not be delivered?")
        )
    ]


def auto_replies() -> list[bytes]:
    """Mails of programs that answer for people."""
    marks = ("Auto-Submitted: auto-replied\n", "Precedence: auto_reply\n", "X-Autoreply: yes\n", "")
    text = "I am away until Monday; my mailbox is full, the account is no longer in use."
    return [
        letter("Ann <ann@theirs.example>", subject, text, headers=f"In-Reply-To: <{OURS}>\n{mark}")
        for subject, mark in product(AUTO_SUBJECTS, marks)
    ]
