"""Warm-up: each day sends exactly its cap, whatever happens to counters and claims."""

import contextlib
import csv
import datetime as dt
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.organization_settings import Warmup
from marketing_pipelines.domains.delivery import warmup
from marketing_pipelines.domains.delivery.bounce_addresses import signature_of
from marketing_pipelines.domains.delivery.claiming import claim
from marketing_pipelines.domains.delivery.sending import LEASE
from marketing_pipelines.domains.delivery.transports.outcomes import LineError
from marketing_pipelines.domains.delivery.warmup import Counter
from marketing_pipelines.domains.delivery.warmup_mirror import Mirror
from marketing_pipelines.secret_keys import secret_key
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.test_lines import Scripted
from marketing_pipelines_tests.delivery.world import NOW, World
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until

DAY = dt.timedelta(days=1)
UTC = ZoneInfo("UTC")
MIDNIGHT = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
TODAY = NOW.date()


def domain(world: World, name: str = "a.org", **columns: Any) -> int:
    """A sending domain; it is the default of the organization if it is the first."""
    values = {"warmup": "auto", "warmup_started_on": None, **columns}
    number: int = world.value(
        "insert into delivery.sending_domains (organization_id, domain, from_address, warmup,"
        " warmup_started_on) values (:organization, :name, :address, :warmup, :warmup_started_on)"
        " returning id",
        organization=world.organization,
        name=name,
        address=f"news@{name}",
        **values,
    )
    return number


def ramp(world: World, *caps: int) -> None:
    world.execute(
        "update crm.organizations set settings = jsonb_build_object('warmup',"
        " jsonb_build_object('ramp', cast(:caps as jsonb)))",
        caps=str(list(caps)),
    )


def reservations(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select day, reserved, sent from delivery.warmup_reservations order by domain_id, day"
    )


@pytest.mark.fault(32)
def test_each_day_sends_its_cap_and_the_rest_waits_for_midnight(world: World) -> None:
    ramp(world, 3, 5)
    domain(world)
    world.messages(world.contacts(20))
    sent = []
    for day in range(4):
        now = NOW + day * DAY
        report = world.send(now=now)
        assert world.send(now=now + DAY / 4).claimed == 0
        assert report.sent + report.returned == report.claimed
        sent.append(report.sent)
    assert sent == [3, 5, 5, 5], "the last entry holds on"
    assert [row[1] for row in reservations(world)] == sent
    assert set(
        world.rows("select due_at, attempts, state from delivery.messages where sent_at is null")
    ) == {(NOW, 0, "queued")}, "they stay where they are"


def test_batches_and_claims_share_the_cap_of_a_day(world: World) -> None:
    ramp(world, 5)
    domain(world)
    world.messages(world.contacts(12))
    assert [world.send(limit=4).sent for _ in range(3)] == [4, 1, 0]
    assert world.rows("select warmup_started_on from delivery.sending_domains") == [(TODAY,)]


def test_a_message_that_is_not_handed_over_gives_its_place_back(world: World) -> None:
    ramp(world, 3)
    domain(world)
    first, *_ = world.messages(world.contacts(4))
    transport = Scripted(fault=LineError("gone"))
    assert world.send(transport=transport, limit=2).returned == 2
    assert reservations(world) == [(TODAY, 0, None)]
    transport.fault = None
    world.execute(
        "update crm.contacts set email = null where id = (select contact_id"
        " from delivery.messages where id = :id)",
        id=first,
    )
    report = world.send(transport=transport)
    assert (report.sent, report.suppressed, report.returned) == (3, 1, 0)
    assert reservations(world) == [(TODAY, 3, None)]


def test_a_killed_workers_mails_give_their_places_back_and_go_on_the_same_day(
    world: World,
) -> None:
    ramp(world, 2)
    domain(world)
    numbers = world.messages(world.contacts(3))
    with world.begin() as connection:
        claimed = claim(connection, "email", limit=3, lease=LEASE, now=NOW, zone=UTC)
        held, _ = warmup.reserve(connection, [row.id for row in claimed.messages], NOW)
    assert (held, reservations(world)) == (set(), [(TODAY, 2, None)])
    world.execute(
        "update crm.contacts set email = null where id = (select contact_id"
        " from delivery.messages where id = :id)",
        id=numbers[0],
    )
    report = world.send(now=NOW + LEASE)
    assert (report.sent, report.suppressed) == (2, 1)
    assert reservations(world) == [(TODAY, 2, None)]


def test_places_given_back_for_a_killed_worker_keep_no_claim_waiting(world: World) -> None:
    ramp(world, 2)
    domain(world)
    world.messages(world.contacts(2))
    with world.begin() as connection:
        claimed = claim(connection, "email", limit=2, lease=LEASE, now=NOW, zone=UTC)
        warmup.reserve(connection, [row.id for row in claimed.messages], NOW)
    with ThreadPoolExecutor(1) as pool:
        with world.begin() as connection:
            claim(connection, "email", limit=2, lease=LEASE, now=NOW, zone=UTC)
            report = pool.submit(world.send, now=NOW + LEASE)
            waiting = (
                "select count(*) from pg_locks join pg_database as own on own.oid = database"
                " where datname = current_database() and locktype = 'advisory' and not granted"
            )
            until(lambda: world.value(waiting))
            # The next statement of a claim.
            connection.execute(
                sa.text("select from delivery.warmup_reservations for update nowait")
            )
        assert report.result().sent == 2


def test_a_mail_with_a_place_takes_no_second_one(world: World) -> None:
    ramp(world, 2)
    domain(world)
    numbers = world.messages(world.contacts(2))
    for _ in range(2):
        with world.begin() as connection:
            held, counts = warmup.reserve(connection, numbers, NOW)
        assert held == set()
    assert reservations(world) == [(TODAY, 2, None)]
    assert counts == []


def test_text_messages_take_no_places_of_the_domain(world: World) -> None:
    ramp(world, 1)
    domain(world)
    world.messages(world.contacts(3), "sms")
    assert (world.send("sms").sent, reservations(world)) == (3, [])


# Cap of the day by the day on which the domain started; None: no cap.
@pytest.mark.parametrize(
    ("kind", "started", "settings", "cap"),
    [
        ("auto", None, "{}", 50),
        ("auto", TODAY, "{}", 50),
        ("auto", TODAY - 9 * DAY, "{}", 20_000),
        ("auto", TODAY - 29 * DAY, "{}", 20_000),
        ("auto", TODAY - 30 * DAY, "{}", None),
        ("off", None, "{}", None),
        ("auto", TODAY - DAY, '{"warmup": {"ramp": [7, 8]}}', 8),
        ("auto", None, '{"warmup": {"ramp": ["x"]}}', 50),
        ("auto", None, '{"warmup": {"ramp": []}}', 50),
        ("auto", None, '{"warmup": {"ramp": 3}}', 50),
    ],
)
def test_the_cap_of_a_day_comes_from_the_ramp(
    shared_installation: Installation, kind: str, started: Any, settings: str, cap: int | None
) -> None:
    values = {"kind": kind, "started": started, "today": TODAY, "settings": settings}
    [(found,)] = shared_installation.rows(
        "select delivery.warmup_cap(:kind, cast(:started as date), cast(:today as date),"
        " cast(:settings as jsonb))",
        **values,
    )
    assert found == cap


def test_the_ramp_of_the_function_is_the_default_of_the_setting(
    shared_installation: Installation,
) -> None:
    caps = shared_installation.rows(
        "select delivery.warmup_cap('auto', cast(:today as date) - day, :today, '{}')"
        " from generate_series(0, 9) as day",
        today=TODAY,
    )
    assert [cap for (cap,) in caps] == Warmup().ramp


@pytest.mark.fault(32)
def test_closing_the_days_twice_or_late_counts_the_same(world: World) -> None:
    ramp(world, 2)
    domain(world)
    world.messages(world.contacts(5))
    world.send()
    world.send(now=NOW + DAY)

    def close(day: dt.date) -> list[tuple[Any, ...]]:
        with world.begin() as connection:
            closed = warmup.close_daily_counters(connection, day=day, at=MIDNIGHT)
            return [tuple(row) for row in closed]

    assert close(TODAY) == []
    assert close(TODAY + DAY) == [("acme", "a.org", TODAY, 2, 2)]
    assert close(TODAY + DAY) == []
    assert world.send(now=NOW + 2 * DAY).sent == 1, "a missed reset holds nothing back"
    assert close(TODAY + 3 * DAY) == [
        ("acme", "a.org", TODAY + DAY, 2, 2), ("acme", "a.org", TODAY + 2 * DAY, 1, 1),
    ]  # fmt: skip


def test_the_last_loaded_default_is_the_default_and_a_lone_domain_is_it_too(world: World) -> None:
    def default() -> str:
        found: str = world.value(
            "select domain from delivery.sending_domains where id ="
            " delivery.default_domain(:organization)",
            organization=world.organization,
        )
        return found

    for name in ("a.org", "b.org", "c.org"):
        domain(world, name)
    assert default() == "a.org"
    for name in ("c.org", "b.org"):
        world.execute(
            "update delivery.sending_domains set is_default = true where domain = :name", name=name
        )
        assert default() == name
    assert world.value("select count(*) from delivery.sending_domains where is_default") == 1


def test_mail_is_sent_from_the_default_domain(world: World) -> None:
    from marketing_pipelines_tests.delivery.world import mail

    domain(world, "news.acme.org", warmup="off")
    [number] = world.messages(world.contacts(1))
    world.send()
    assert str(mail(number)["From"]) == "Acme <news@news.acme.org>"
    signature = signature_of(number, secret_key(get_settings()))
    assert mail(number)["Message-ID"] == f"<message.{number}.{signature}@news.acme.org>"


def test_without_a_domain_mail_fails_outside_development(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETING_ENV", "production")
    get_settings.cache_clear()
    world.messages(world.contacts(1))
    world.send()
    assert world.states() == [
        (
            "failed",
            "Organization acme has no sending domain: load one with `marketing-pipelines load "
            "sending_domains FILE`.",
        )
    ]


def test_a_paused_domain_keeps_its_mails(world: World) -> None:
    domain(world, warmup="off")
    world.messages(world.contacts(2))
    pause = "update delivery.sending_domains set paused_until = :until"
    world.execute(pause, until=NOW + DAY / 24)
    assert world.send().claimed == 0
    world.execute(pause, until=NOW)
    assert world.send().sent == 2


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A real Redis on a free port of loopback."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            url = f"redis://127.0.0.1:{port}/0"
            until(lambda: _answers(url), what="redis")
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    import redis

    with contextlib.suppress(redis.RedisError):
        return bool(Mirror(url).check())
    return False


def test_counts_are_copied_to_redis_and_nothing_reads_them(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import redis

    ramp(world, 2)
    domain(world)
    world.messages(world.contacts(4))
    with redis_server() as url:
        monkeypatch.setenv("MARKETING_REDIS_URL", url)
        get_settings.cache_clear()
        client = redis.Redis.from_url(url)
        world.send(limit=1)
        assert client.get("warmup:daily:acme:a.org") == b"1"
        assert 47 * 3600 < client.ttl("warmup:daily:acme:a.org") <= 48 * 3600
        client.set("warmup:daily:acme:a.org", 1_000_000)
        assert world.send().sent == 1
        assert client.get("warmup:daily:acme:a.org") == b"2"
        assert Mirror(url).replace([Counter("acme", "b.org", 3)]) == 1
        assert client.keys() == [b"warmup:daily:acme:b.org"]
        client.close()
    assert Mirror(url).replace([]) is None
    assert world.send(now=NOW + DAY).sent == 2, "a server that is down changes nothing"
    assert "MARKETING_REDIS_URL" in caplog.text


def test_the_job_closes_the_days_before_its_tick(installation: Installation) -> None:
    world = World(installation.engine)
    ramp(world, 1)
    domain(world)
    world.messages(world.contacts(1))
    world.send()
    [outcome] = installation.run("delivery/warmup_counters")
    assert outcome.status == "COMPLETED"
    assert reservations(world) == [(TODAY, 1, 1)]


def test_a_file_of_domains_is_refused_row_by_row_with_its_reason(
    installation: Installation, tmp_path: Any
) -> None:
    path = tmp_path / "domains.csv"
    path.write_text(
        "organization_id,domain,from_address,reply_to,headers,is_default,warmup,per_second\n"
        'acme,a.org,news@a.org,hello@a.org,"{""X-PM-Message-Stream"": ""broadcast""}",true,off,10\n'
        "acme,A.org,news@A.org,,,,,\n"
        "acme,b.org,news@a.org,,,,,\n"
        "acme,c.org,news@c.org,nobody,,,,\n"
        'acme,d.org,news@d.org,,"{""Bcc"": ""x""}",,,\n'
        "acme,e.org,news@e.org,,,,,-1\n"
    )
    result = installation.load("sending_domains", path)
    assert result.rejects is not None
    with result.rejects.open() as file:
        reasons = [line[-1] for line in csv.reader(file)][1:]
    assert reasons == [
        "'A.org' is no domain name in lower case, such as news.example.org",
        "'news@a.org' is no address of b.org",
        "'nobody' is no e-mail address",
        "'Bcc' is no header of one's own: its name begins with X-, its value is text",
        "'-1' is no number of mails a second: write 0 or more",
    ]
    assert installation.rows(
        "select domain, from_address, reply_to, headers, is_default, warmup, per_second"
        " from delivery.sending_domains"
    ) == [
        (
            "a.org",
            "news@a.org",
            "hello@a.org",
            {"X-PM-Message-Stream": "broadcast"},
            True,
            "off",
            10,
        )
    ]
