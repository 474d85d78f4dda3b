"""Bounces and complaints of mail systems, and mails that only look like them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from marketing_pipelines.domains.inbox.bounces import RecipientReport
from marketing_pipelines.domains.inbox.mails import read_mail
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines_tests.inbox import reports
from marketing_pipelines_tests.inbox.reports import COMPLAINTS, OURS, RECIPIENT, REPORTS

# The folder `tests/data` of the source distribution of flufl.bounce.
CORPUS = "BOUNCE_CORPUS"


def meaning(bounce: RecipientReport) -> str:
    return bounce.verdict.bounce_type or bounce.verdict.type


def meanings(raw: bytes) -> set[str]:
    found = read_mail(raw).returned
    return set() if found is None else {meaning(bounce) for bounce in found.reports}


@pytest.mark.parametrize(
    "own", [*REPORTS, *COMPLAINTS], ids=lambda own: f"{own.system}, {own.meaning}"
)
def test_a_report_of_a_mail_system_has_its_meaning(own: reports.SystemReport) -> None:
    read = read_mail(own.raw)
    assert read.returned is not None
    [bounce] = read.returned.reports
    assert meaning(bounce) == own.meaning
    assert bounce.addresses in ((RECIPIENT,), (RECIPIENT, "x@y.example"), ())
    assert read.is_bounce


def test_the_reports_are_of_twenty_mail_systems_which_the_page_names() -> None:
    systems = {own.system for own in REPORTS}
    assert len(systems) >= 20
    page = (PACKAGE.parent / "docs" / "delivery.md").read_text(encoding="utf-8")
    assert (
        sorted(one for one in systems | {own.system for own in COMPLAINTS} if one not in page) == []
    )


def test_the_returned_headers_name_the_mail_that_came_back() -> None:
    for own in REPORTS[:3] + COMPLAINTS:
        found = read_mail(own.raw).returned
        assert found is not None
        assert found.message_ids == (OURS,)
        assert RECIPIENT in found.receivers
        assert found.return_paths == ("sam@ours.example",)


def test_each_recipient_of_a_report_has_its_own_meaning() -> None:
    raw = reports.report(
        reports.DAEMON,
        reports.fields("5.1.1", "550 5.1.1 unknown", recipient="a@theirs.example"),
        reports.fields("2.0.0", action="delivered", recipient="b@theirs.example"),
        reports.fields("5.2.2", "552 full", recipient="c@x.example", original="c@theirs.example"),
    )
    found = read_mail(raw).returned
    assert found is not None
    assert [(one.addresses, meaning(one)) for one in found.reports] == [
        (("a@theirs.example",), "hard"),
        (("b@theirs.example",), "noted"),
        (("c@theirs.example", "c@x.example"), "soft"),
    ]
    assert found.reports[0].reason == "5.1.1 smtp; 550 5.1.1 unknown"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, "hard") for code in ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")),
        *((code, "soft") for code in ("5.2.2", "5.4.1", "5.4.7", "4.4.7", "4.2.2", "4.7.1")),
        *((code, "failed") for code in ("5.7.1", "5.7.26", "5.2.3", "5.3.4", "5.1.7", "5.1.8")),
        *((code, "failed") for code in ("5.0.0", "5.6.0", "5.5.1")),
    ],
)
def test_a_code_without_words_decides(code: str, expected: str) -> None:
    assert meanings(reports.report(reports.DAEMON, reports.fields(code))) == {expected}


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_not_final_has_no_effect(action: str) -> None:
    raw = reports.report(reports.DAEMON, reports.fields("5.1.1", "550 unknown", action=action))
    assert meanings(raw) == {"noted"}


def test_no_reply_and_no_absence_note_is_a_bounce() -> None:
    replies = [read_mail(raw) for raw in reports.replies()]
    away = [read_mail(raw) for raw in reports.auto_replies()]
    assert len(replies) + len(away) >= 50
    assert [one.subject for one in replies + away if one.is_bounce] == []
    assert [one.subject for one in replies if one.is_auto_reply] == []
    assert [one.subject for one in away if not one.is_auto_reply] == []


def test_an_attached_report_is_not_that_of_the_mail() -> None:
    forwarded = (
        b"From: Ann <ann@theirs.example>\nTo: sam@ours.example\nSubject: Fwd: what is this?\n"
        b"Content-Type: multipart/mixed; boundary=outer\n\n--outer\n\nSee below\n"
        b"--outer\nContent-Type: message/rfc822\n\n" + REPORTS[0].raw + b"\n--outer--\n"
    )
    assert not read_mail(forwarded).is_bounce


def test_a_report_with_very_many_recipients_is_bounded() -> None:
    many = [reports.fields("5.1.1", recipient=f"u{n}@theirs.example") for n in range(1_000)]
    found = read_mail(reports.report(reports.DAEMON, *many)).returned
    assert found is not None
    assert len(found.reports) == 100


def test_the_samples_have_their_meanings(shared_data: Path) -> None:
    folder = shared_data / "email" / "samples"
    found = {path.stem: meanings(path.read_bytes()) for path in folder.glob("*.eml")}
    assert {name: one for name, one in found.items() if one} == {
        "multi_address_bounce1": {"hard"},
        "multi_address_bounce2": {"hard"},
        # "has restricted SMS e-mail"
        "multipart_report_multiple_status": {"failed"},
        "raw_email_with_mimepart_without_content_type": {"noted"},
        "report_422": {"noted"},
        "report_530": {"hard"},
    }


# The meanings of the corpus, by reading each mail.
NOT_HARD = {
    "soft": "bounce_01 bounce_02 bounce_03 dsn_01 dsn_02 dsn_04 dumbass_01 hotpop_01 netscape_01 "
    "newmailru_01 postfix_02 postfix_04 qmail_02 qmail_06 qmail_07 sendmail_01 simple_07 simple_09 "
    "simple_14 simple_18 simple_32 simple_38 simple_41 simple_44 simple_45 smtp32_01 smtp32_02 "
    "yahoo_01 yahoo_02 yahoo_04",
    "failed": "aol_01 caiwireless_01 dsn_03 dsn_09 microsoft_03 postfix_03 postfix_05 qmail_01 "
    "simple_01 simple_02 simple_10 simple_16 simple_17 simple_20 simple_24 simple_31 simple_42 "
    "sina_01 smtp32_03 smtp32_05 yahoo_12",
    "noted": "dsn_05 dsn_06 dsn_07 dsn_08 dsn_17 simple_03 simple_21 simple_22 simple_28 simple_35 "
    "simple_40",
    "none": "groupwise_03 qmail_08",
}


@pytest.fixture(scope="module")
def corpus() -> Mapping[str, bytes]:
    folder = Path(os.environ.get(CORPUS, ""))
    if not (folder / "dsn_01.txt").exists():
        pytest.skip(f"{CORPUS} names no folder with the corpus of flufl.bounce")
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.txt"))}


def test_hard_bounces_of_the_corpus_are_found_and_few_others_taken_for_them(
    corpus: Mapping[str, bytes],
) -> None:
    assert len(corpus) >= 80
    others = {name for names in NOT_HARD.values() for name in names.split()}
    hard = set(corpus) - others
    found = {name for name, raw in corpus.items() if "hard" in meanings(raw)}
    false = found - hard
    assert len(false) / len(found) <= 0.02, false
    assert len(found & hard) / len(hard) >= 0.85, hard - found


def test_delays_of_the_corpus_have_no_effect(corpus: Mapping[str, bytes]) -> None:
    for name in (NOT_HARD["noted"] + " " + NOT_HARD["none"]).split():
        assert meanings(corpus[name]) <= {"noted"}, name
