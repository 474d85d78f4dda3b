"""Mail servers of single domains: their mails, their line, their password."""

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

import pytest

from marketing_pipelines.cli.doctor_of_channels import check_channel, check_own_servers
from marketing_pipelines.domains.delivery import own_servers
from marketing_pipelines.domains.delivery.due import next_at, next_of_servers
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.domains.delivery.sending import send_batch
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.providers import SMTP
from marketing_pipelines.domains.integrations.standing import standing_of
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.observability.health import report
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import committing_each
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.delivery.smtp_sink import Sink, smtp_sink
from marketing_pipelines_tests.delivery.world import NOW, World
from marketing_pipelines_tests.queueing.installed import drain

LOGIN = "smtp-p4ss-of-news"
HOUR = dt.timedelta(hours=1)


def add_domain(world: World, name: str, is_default: bool = False) -> int:
    number: int = world.value(
        "insert into delivery.sending_domains (organization_id, domain, from_address, is_default,"
        " warmup) values (:o, :name, 'news@' || :name, :is_default, 'off') returning id",
        o=world.organization,
        name=name,
        is_default=is_default,
    )
    return number


def connect(world: World, domain: str, sink: Sink | None = None, **fields: Any) -> int:
    """Gives a domain a server of its own; returns the number of the connection."""
    given = {"domain": domain, "host": "127.0.0.1", "port": 1, "security": "off", **fields}
    if sink is not None:
        given["port"] = urlsplit(sink.url).port
    with world.engine.begin() as connection:
        return connections.set_connection(
            connection, get_settings(), world.organization, SMTP, given, NOW
        ).id


@pytest.fixture
def world(world: World) -> World:
    """With the default domain a.example and the domain b.example."""
    add_domain(world, "a.example", is_default=True)
    add_domain(world, "b.example")
    return world


def mails(world: World, domain: str | None, count: int = 1) -> list[int]:
    numbers = world.messages(world.contacts(count))
    if domain is not None:
        world.execute(
            "update delivery.messages set domain_id = (select id from delivery.sending_domains"
            " where domain = :domain) where id = any(:numbers)",
            domain=domain,
            numbers=numbers,
        )
    return numbers


def send_over(world: World, server_id: int) -> Any:
    with world.engine.begin() as connection:
        transport = own_servers.transport_over(connection, get_settings(), server_id)
    assert transport is not None
    return send_batch(
        world.engine.begin,
        "email",
        transport,
        open_marking=lambda: committing_each(world.engine),
        clock=lambda: NOW,
        server_id=server_id,
    )


def test_mails_of_a_domain_go_over_its_own_server_with_its_password_and_no_others(
    world: World,
) -> None:
    default, of_b = mails(world, None), mails(world, "b.example", 2)
    with smtp_sink(password=LOGIN) as sink:
        server = connect(world, "b.example", sink, user="ann", password=LOGIN)
        report = send_over(world, server)
        assert (report.claimed, report.sent) == (2, 2)
        assert {taken.sender for taken in sink.taken} == {"news@b.example"}
        assert world.send().sent == 1
        assert len(sink.taken) == 2
    assert world.rows("select id, state from delivery.messages order by id") == [
        (number, "sent") for number in [*default, *of_b]
    ]


def test_the_default_domain_may_have_one_too(world: World) -> None:
    mails(world, None)
    with smtp_sink() as sink:
        server = connect(world, "a.example", sink)
        assert world.send().claimed == 0
        assert send_over(world, server).sent == 1
        assert [taken.sender for taken in sink.taken] == ["news@a.example"]


def test_another_organization_with_a_domain_of_that_name_is_not_touched(world: World) -> None:
    connect(world, "b.example")
    other = World(world.engine, name="umbra")
    add_domain(other, "b.example", is_default=True)
    other.messages(other.contacts(1))
    assert world.send().sent == 1


def test_its_faults_are_those_of_a_line_of_its_own(world: World) -> None:
    mails(world, "b.example")
    mails(world, None)
    server = connect(world, "b.example")
    report = send_over(world, server)
    assert (report.sent, report.returned) == (0, 1)
    assert world.rows("select name, failures from delivery.lines") == [
        ("smtp://127.0.0.1:1 for b.example of acme", 1)
    ]
    assert world.send().sent == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_list_of_connections_shows_its_fault_while_its_breaker_is_open(
    world: World, host: str
) -> None:
    mails(world, "b.example")
    server = connect(world, "b.example", host=host)
    send_over(world, server)

    def listed() -> list[tuple[Any, ...]]:
        with world.engine.connect() as connection:
            found = standing_of(connection, [server])
        return [(row.state, row.next_at, row.error) for row in found]

    assert listed() == [("ok", None, None)]
    world.execute("update delivery.lines set opened_at = :now, open_until = :later",
                  now=NOW, later=NOW + HOUR)  # fmt: skip
    [(state, next_try, error)] = listed()
    assert (state, next_try, "cannot be reached" in error) == ("failing", NOW + HOUR, True), error


def test_another_password_makes_another_login(world: World) -> None:
    mails(world, "b.example")
    with smtp_sink(password=LOGIN) as sink:
        server = connect(world, "b.example", sink, user="ann", password="wrong")
        report = send_over(world, server)
        assert (report.sent, "refuses the login" in report.fault) == (0, True)
        assert LOGIN not in report.fault
        connect(world, "b.example", sink, password=LOGIN)
        assert send_over(world, server).sent == 1


def test_a_task_rings_one_for_each_server_and_each_looks_at_its_own_mails(world: World) -> None:
    mails(world, "b.example")
    later = mails(world, None)
    world.execute("update delivery.messages set due_at = :at where id = any(:n)",
                  at=NOW + HOUR, n=later)  # fmt: skip
    server = connect(world, "b.example")
    with world.engine.begin() as connection:
        assert next_of_servers(connection, NOW) == {server: NOW}
        assert next_at(connection, "email", NOW, None) == NOW + HOUR
        assert next_at(connection, "email", NOW, server) == NOW
        assert next_at(connection, "email", NOW) == NOW


def test_a_worker_sends_over_both_servers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mails(world, None)
    mails(world, "b.example")
    with smtp_sink() as main, smtp_sink() as own:
        connect(world, "b.example", own)
        monkeypatch.setenv("MARKETING_SMTP_URL", main.url)
        get_settings.cache_clear()
        with world.engine.begin() as connection:
            notify_workers(connection, ["email"])
        drain("--at", NOW.isoformat(), "--queue", "send-email")
        assert [taken.sender for taken in main.taken] == ["news@a.example"]
        assert [taken.sender for taken in own.taken] == ["news@b.example"]


def test_development_keeps_mails_to_a_server_elsewhere_as_files(world: World) -> None:
    server = connect(world, "b.example", host="mail.b.example", port=587)
    with world.engine.begin() as connection:
        transport = own_servers.transport_over(connection, get_settings(), server)
    assert transport is not None
    assert transport.line is None


def test_a_removed_connection_gives_its_mails_back_to_the_server_of_all(world: World) -> None:
    mails(world, "b.example")
    server = connect(world, "b.example")
    assert world.send().claimed == 0
    with world.engine.begin() as connection:
        connections.remove(connection, connections.get(
            connection, world.organization, SMTP, "b.example"))  # fmt: skip
        assert own_servers.transport_over(connection, get_settings(), server) is None
    assert world.send().sent == 1


def test_doctor_and_connection_test_log_in_and_name_what_is_wrong(world: World) -> None:
    with smtp_sink(password=LOGIN) as sink:
        connect(world, "b.example", sink, user="ann", password=LOGIN)
        asked = ("connection", "test", "smtp", "--organization", "acme")
        tried = call_here(*asked)
        assert (tried.returncode, tried.stderr) == (0, "")
        assert tried.stdout.startswith(
            "The connection smtp b.example of acme works: smtp://127.0.0.1:"
        )
        said = check_own_servers(get_settings())
        assert said == "1 sending domains have a server of their own"
        connect(world, "b.example", sink, password="wrong-one")
        tried = call_here(*asked)
        assert tried.returncode == 1
        assert "refuses the login" in tried.stderr
        with pytest.raises(ConfigurationError) as refused:
            check_own_servers(get_settings())
    assert str(refused.value).startswith("smtp b.example of acme: smtp://127.0.0.1:")
    assert LOGIN not in str(refused.value)


def test_mail_over_a_server_of_its_own_waits_for_no_setting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(world, "b.example")
    mails(world, "b.example", 2)
    monkeypatch.setenv("MARKETING_ENV", "production")
    get_settings.cache_clear()

    def said() -> tuple[list[str], str]:
        with world.begin() as connection:
            reasons = report(connection, None, NOW + 2 * HOUR).reasons
        with pytest.raises(ConfigurationError) as refused:
            check_channel(get_settings(), "email")
        return [one for one in reasons if "channel" in one], str(refused.value)

    assert said() == (
        [],
        "MARKETING_SMTP_URL is not set: 0 messages of the channel email wait for it.",
    )
    mails(world, None)
    assert said() == (
        ["Messages of the channel email have waited for an hour: set MARKETING_SMTP_URL."],
        "MARKETING_SMTP_URL is not set: 1 messages of the channel email wait for it.",
    )
