"""The words of `doctor` and of health about channels."""

import datetime as dt

import pytest

from marketing_pipelines.cli.doctor_of_channels import check_channel, check_redis
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.observability.health import report
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines_tests.delivery.smtp_sink import smtp_sink
from marketing_pipelines_tests.delivery.world import NOW, World


def test_doctor_connects_to_the_mail_server_and_names_what_is_missing(world: World) -> None:
    def said(channel: str = "email", **settings: object) -> str:
        try:
            return check_channel(Settings(**settings), channel)  # type: ignore[arg-type]
        except ConfigurationError as error:
            return f"problem: {error}"

    assert said().startswith("MARKETING_SMTP_URL is not set: messages are files in ")
    assert said(env="production") == (
        "problem: MARKETING_SMTP_URL is not set: 0 messages of the channel email wait for it."
    )
    assert said("sms", env="production") == (
        "MARKETING_SMS_URL is not set, and no message waits for it"
    )
    world.messages(world.contacts(2), "sms")
    assert said("sms", env="production") == (
        "problem: MARKETING_SMS_URL is not set: 2 messages of the channel sms wait for it."
    )
    far = "smtp://mail.example.org"
    assert said(smtp_url=far).startswith("development sends to loopback only: ")
    gone = said(env="production", smtp_url="smtp://127.0.0.1:1?tls=off")
    assert gone.startswith("problem: smtp://127.0.0.1:1 cannot be reached: ")
    assert gone.endswith(": check MARKETING_SMTP_URL.")
    with smtp_sink(password="right") as sink:
        wrong = said(smtp_url=sink.url.replace("right", "wrong"))
        assert "refuses the login: 535" in wrong
        assert said(env="staging", smtp_url=sink.url) == (
            "problem: MARKETING_DELIVERY_ALLOW is not set: in staging nobody gets messages. No "
            "organization has a sending domain: load one with `marketing-pipelines load "
            "sending_domains FILE`."
        )
        line = said(smtp_url=sink.url).split()[0]
        assert line == sink.url.replace("ann:right@", "").removesuffix("?tls=off")
        world.execute(
            "insert into delivery.lines (name, failures, openings, opened_at, open_until,"
            " last_error) values (:name, 20, 1, :now, :now, 'no route')",
            name=line,
            now=NOW,
        )
        assert said(smtp_url=sink.url) == (
            "problem: Its breaker is open until 2026-03-02 09:00 UTC: no route."
        )
        assert sink.taken == []
    with pytest.raises(ConfigurationError, match="MARKETING_REDIS_URL does not answer"):
        check_redis("redis://127.0.0.1:1/0")


def test_health_is_degraded_once_a_message_has_waited_an_hour_for_a_setting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.messages(world.contacts(2), "sms")
    hour = dt.timedelta(hours=1)

    def reasons(env: str, at: dt.datetime) -> list[str]:
        monkeypatch.setenv("MARKETING_ENV", env)
        get_settings.cache_clear()
        with world.begin() as connection:
            found = report(connection, None, at).reasons
        return [reason for reason in found if "channel" in reason]

    assert reasons("production", NOW + hour) == []
    assert reasons("development", NOW + 2 * hour) == []
    assert reasons("production", NOW + hour + dt.timedelta(seconds=1)) == [
        "Messages of the channel sms have waited for an hour: set MARKETING_SMS_URL."
    ]
