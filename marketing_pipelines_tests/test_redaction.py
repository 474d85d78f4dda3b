"""Redaction hides credentials and leaves the words around them."""

import logging

import pytest

from marketing_pipelines.observability import logs
from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import get_settings

DOCUMENTED = (
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#channel,"
    "team:analytics=mailto://user:password@example.org?to=analytics@example.org"
)


@pytest.fixture
def alert_urls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return set_to(monkeypatch, "MARKETING_ALERT_URLS", request.param)


def set_to(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return value


def test_an_address_that_apprise_complains_of_in_the_log_is_redacted_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_to(monkeypatch, "MARKETING_ALERT_URLS", "json://host/a,carrier-pigeon://T0KEN8f/b")
    logs.configure()
    logging.getLogger("apprise").error("Cannot use carrier-pigeon://T0KEN8f/b")
    assert "Cannot use carrier-pigeon://…/…" in capsys.readouterr().err


@pytest.mark.parametrize("alert_urls", [DOCUMENTED], indirect=True)
def test_the_words_of_the_documented_alert_urls_stay_in_every_text(alert_urls: str) -> None:
    text = (
        "analytics/event_aggregates failed: the channel example.org of user team:analytics, "
        "analytics@example.org, has no password"
    )
    assert redact(text) == text


@pytest.mark.parametrize("alert_urls", [DOCUMENTED], indirect=True)
def test_the_credentials_of_the_documented_alert_urls_are_hidden_alone_and_in_place(
    alert_urls: str,
) -> None:
    assert redact(f"cannot use {alert_urls}") == (
        "cannot use slack://…/…/…/#channel,"
        "team:analytics=mailto://user:…@example.org?to=analytics@example.org"
    )
    assert redact("T1JJ3T3L2, then A1BRTD4JD and TIiajkdnlazkcOXrIdevi7FQ") == "…, then … and …"


@pytest.mark.parametrize(
    ("alert_urls", "hidden"),
    [
        ("json://hooks.example.org/analytics/v1/marketing-alerts", None),
        ("json://hooks.example.org/marketingAlerts/team-7/health_checks2026", None),
        ("json://hooks.example.org/T0KENofTheHook", "json://hooks.example.org/…"),
        ("json://hooks.example.org/5f0c3f5e-7f2d-4a55", "json://hooks.example.org/…"),
        ("json://hooks.example.org/x?token=analytics", "json://hooks.example.org/x?token=…"),
        (
            "discord://1234567890123456/abcdefghijklmnopqrstuvwxyzABCDEFGHIJ",
            "discord://…/…",
        ),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://…/12315544/"),
        ("ntfys://ntfy.example.org/marketing", None),
        ("nosuchkind://user:tiger%2Dtank@host/path", "nosuchkind://…:…@…/…"),
    ],
    indirect=["alert_urls"],
)
def test_a_credential_is_what_apprise_keeps_private_or_what_looks_random(
    alert_urls: str, hidden: str | None
) -> None:
    assert redact(f"to {alert_urls} only") == f"to {hidden or alert_urls} only"


@pytest.mark.parametrize(
    "alert_urls", ["tgram://123456789:abcdefg_hijklmnop/12315544/"], indirect=True
)
def test_a_credential_is_hidden_as_written_and_as_quoted(alert_urls: str) -> None:
    assert redact("123456789:abcdefg_hijklmnop") == "…"
    assert redact("bot123456789%3Aabcdefg_hijklmnop/send") == "bot…/send"


@pytest.mark.parametrize(
    ("password", "text", "shown"),
    [
        ("marketing", "marketing/x of 5 rows", "marketing/x of 5 rows"),
        ("20260301", "day 20260301", "day 20260301"),
        ("tiger-in-the-tank", "it was tiger-in-the-tank", "it was …"),
        ("tiger%40tank", "it was tiger@tank or tiger%40tank", "it was … or …"),
        ("marketing", "{url}", "postgresql://marketing:…@db/marketing"),
        ("marketing", "password=marketing", "password=…"),
    ],
)
def test_a_password_like_a_word_is_hidden_where_it_stands_as_a_password_only(
    monkeypatch: pytest.MonkeyPatch, password: str, text: str, shown: str
) -> None:
    url = set_to(
        monkeypatch,
        "MARKETING_DATABASE_URL",
        f"postgresql://marketing:{password}@db/marketing",
    )
    assert redact(text.format(url=url)) == shown


def test_query_values_named_as_secrets_are_hidden_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to(
        monkeypatch, "MARKETING_LAKE_URL", "s3://bucket/lake?key=AKIA77EXAMPLE&region=eu-central-1"
    )
    assert redact("AKIA77EXAMPLE in eu-central-1 of bucket") == "… in eu-central-1 of bucket"
