"""Headers of mails to hostile names: none is injected, and none breaks the rules of its RFC."""

import re
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketing_pipelines.domains.delivery.mail import one_line, write
from marketing_pipelines.domains.delivery.rendering import Rendered, Sender, fill_in
from marketing_pipelines_tests.delivery.world import NOW
from marketing_pipelines_tests.scale import SOAK

MAILS = 2_000 if SOAK else 40
UNSUBSCRIBE = "https://m.example.org/unsubscribe/" + "t" * 120
HOSTILE = (
    "\r\nBcc: x@y.z", "\n ", "\r", "\x00", "\x85", "\u2028", "=?utf-8?q?Bcc=3A?=", "=?utf-8?B?",
    "?=", "{{ organization }}", "{% if", "}}", '"', "\\", "<x@y.z>", ",", ";", ":", "(", "é", "漢",
    "🎉", "👩\u200d👧", "e\u0301", "\u202e", "Ann Lee", " ", "\t",
)  # fmt: skip
NAMES = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=60).map("".join) | st.sampled_from(
    ["é" * 200, "🎉" * 200, "é🎉 " * 70, "a" * 200]
)
CONTENT = {"subject": "News for {{ name }}", "text": "Dear {{ name }}", "html": "<p>{{ name }}</p>"}


@pytest.mark.soak
@settings(max_examples=MAILS, deadline=None)
@given(name=NAMES, local=st.sampled_from(["ann", "änn"]))
def test_a_hostile_name_stays_in_its_header(name: str, local: str) -> None:
    filled = fill_in(CONTENT, {"name": name, "organization": "Acme"})
    mail = Rendered(
        id=42,
        organization_id=3,
        organization="Acme",
        channel="email",
        queued_at=NOW,
        recipient=f"{local}@example.org",
        name=name,
        content=filled,
        sender=Sender("news@acme.example", name, reply_to="hello@acme.example"),
        unsubscribe_url=UNSUBSCRIBE,
    )
    head = write(mail).data.partition(b"\r\n\r\n")[0].decode()
    lines = head.split("\r\n")
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", "".join(lines))
    assert max(map(len, lines)) <= 998
    assert max(map(len, (line for line in lines if "=?" in line)), default=0) <= 76
    words = re.findall(r"=\?[^?\s]+\?[bq]\?[^?\s]*\?=", head, re.IGNORECASE)
    assert max(map(len, words), default=0) <= 75
    fields = [line.partition(": ") for line in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")]
    assert [field for field, _, _ in fields if not field.startswith(("Content-", "MIME-"))] == [
        "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "List-Unsubscribe",
        "List-Unsubscribe-Post",
    ]  # fmt: skip
    values = {field: value for field, _, value in fields}
    # RFC 8058 and RFC 5322.
    assert values["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert values["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<[a-z0-9.]+@[a-z0-9.]+>", values["Message-ID"])
    shown = one_line(f"News for {name}")
    assert str(make_header(decode_header(values["Subject"]))).strip() == shown
    assert re.search(rf"(^|<){local}@example\.org>?$", values["To"])
